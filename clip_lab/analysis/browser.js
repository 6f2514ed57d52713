// Show one question of the element with this id at a time; buttons and arrow keys go to the others.
function leafThrough(id) {
  const box = document.getElementById(id);
  const cards = [...box.querySelectorAll('.question')];
  let shown = 0;
  const show = step => {
    shown = (shown + step + cards.length) % cards.length;
    cards.forEach((card, i) => { card.hidden = i !== shown; });
    box.querySelector('output').textContent = `${shown + 1} of ${cards.length}`;
  };
  box.querySelector('.previous').onclick = () => show(-1);
  box.querySelector('.next').onclick = () => show(1);
  box.onkeydown = event => {
    if (event.key === 'ArrowLeft') show(-1);
    if (event.key === 'ArrowRight') show(1);
  };
  show(0);
}
