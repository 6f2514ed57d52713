// Loaded by every page of the site, after a line `const SEARCH_INDEX = ...` that make_offline puts before it.

// A page opened as a file may not fetch: requests for the search index are answered from SEARCH_INDEX.
{
  const fetch = window.fetch
  window.fetch = (url, ...more) => String(url).endsWith('search.json')
    ? Promise.resolve(new Response(JSON.stringify(SEARCH_INDEX)))
    : fetch(url, ...more)
}

// What scrolls sideways can be reached with the keyboard.
addEventListener('load', () => {
  for (const e of document.querySelectorAll('main pre, main table, .math-block'))
    if (e.scrollWidth > e.clientWidth) e.tabIndex = 0
})
