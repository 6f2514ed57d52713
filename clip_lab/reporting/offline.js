// Loaded by every page of the site, after a line `const SEARCH_INDEX = ...` that make_offline puts before it.

// A page opened as a file may not fetch: requests for the search index are answered from SEARCH_INDEX.
{
  const fetch = window.fetch
  window.fetch = (url, ...more) => String(url).endsWith('search.json')
    ? Promise.resolve(new Response(JSON.stringify(SEARCH_INDEX)))
    : fetch(url, ...more)
}

// Search: the words of a question, each where it counts most; chapters, guide and glossary first, functions last.
// What has none of the words is left to the search that forgives typing errors.
{
  const EMPTY = new Set(('a an and are as at be by can do does for from how i in is it me my of on one or the to ' +
    'what where which with you').split(' '))
  const LIKE = { photo: 'image', photos: 'image', picture: 'image', pictures: 'image' }
  const stem = word => word.length > 4 ? word.replace(/(ies|es|s|ing)$/, '') : word
  const wordsOf = text => text.toLowerCase().split(/[^\w@+.-]+/).filter(Boolean)
  const score = (text, word) => {
    const at = text.indexOf(word)
    if (at < 0) return 0
    return at === 0 || /\W/.test(text[at - 1]) ? 1 : .4
  }
  let Forgiving = window.Fuse
  class Search {
    constructor(index, options) {
      this.index = index
      this.forgiving = Forgiving && new Forgiving(index, options)
    }
    rate(entry, words) {
      const title = entry.title.toLowerCase(), section = entry.section.toLowerCase(), text = entry.text.toLowerCase()
      let sum = 0, found = 0
      for (const options of words) {
        const one = Math.max(...options.map(w => 3*score(title, w) + 4*score(section, w) + score(text, w)))
        sum += one
        if (one) found += 1
      }
      return sum*(found/words.length)**2*[1, .6, .3][entry.kind ?? 1]
    }
    search(query, { limit }) {
      const all = wordsOf(query), told = all.filter(w => !EMPTY.has(w))
      const words = (told.length ? told : all).map(w => [stem(w), ...(LIKE[w] ? [LIKE[w]] : [])])
      const whole = query.toLowerCase()
      const hits = this.index.map(item => {
        const named = `${item.section} ${item.title}`.toLowerCase().includes(whole)
        const said = item.text.toLowerCase().includes(whole)
        return { item, score: words.length ? (named ? 4 : said ? 2 : 1)*this.rate(item, words) : 0 }
      })
      const good = hits.filter(h => h.score > 0).sort((a, b) => b.score - a.score)
      return good.length || !this.forgiving ? good.slice(0, limit) : this.forgiving.search(query, { limit })
    }
  }
  Object.defineProperty(window, 'Fuse', { configurable: true, get: () => Search, set: f => { Forgiving = f } })
}

addEventListener('load', () => {
  // What scrolls sideways can be reached with the keyboard.
  for (const e of document.querySelectorAll('main pre, main table, .math-block'))
    if (e.scrollWidth > e.clientWidth) e.tabIndex = 0

  // The entry of this page is in sight.
  const here = document.querySelector('#quarto-sidebar .sidebar-link.active')
  const sidebar = document.querySelector('#quarto-sidebar')
  if (here && sidebar) sidebar.scrollTop = here.getBoundingClientRect().top - sidebar.getBoundingClientRect().top - sidebar.clientHeight/3

  // An image that is larger than it is shown can be opened in full.
  const dialog = document.createElement('dialog')
  dialog.className = 'enlarged'
  dialog.setAttribute('aria-label', 'Image in full')
  dialog.addEventListener('click', () => dialog.close())
  document.body.append(dialog)
  for (const image of document.querySelectorAll('main img')) {
    if (image.closest('a, button') || image.naturalWidth < 300) continue
    image.classList.add('enlarges')
    image.addEventListener('click', () => { dialog.replaceChildren(image.cloneNode()); dialog.showModal() })
  }
})

// On paper everything is open.
addEventListener('beforeprint', () => { for (const e of document.querySelectorAll('main details')) e.open = true })
