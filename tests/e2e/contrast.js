// Text of the page whose contrast with what is behind it is below AA: one line each, with its ratio.
() => {
  const rgb = (text) => (text.match(/[\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => {
    const linear = (v) => ((v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * (top[3] ?? 1) + below[i] * (1 - (top[3] ?? 1)));
  const chain = (element) => (element ? [...chain(element.parentElement), element] : []);
  const behind = (element) =>
    chain(element).reduce((colour, e) => {
      const own = rgb(getComputedStyle(e).backgroundColor);
      return own.length && own[3] !== 0 ? over(own, colour) : colour;
    }, [255, 255, 255]);
  const opacity = (element) => chain(element).reduce((o, e) => o * +getComputedStyle(e).opacity, 1);
  const bad = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement, text = walker.currentNode.textContent.trim();
    const drawn = element.closest('.js-plotly-plot svg') && !element.closest('.bars, .annotation, .hm, .heatmaplayer');
    const skipped = element.closest('script, style, footer, [disabled]') || (element.closest('svg') && !drawn);
    const seen = element.checkVisibility({visibilityProperty: true, opacityProperty: true});
    if (!/\w/.test(text) || skipped || !seen) { continue; }
    const style = getComputedStyle(element), back = behind(element), own = rgb(drawn ? style.fill : style.color);
    const front = over([...own.slice(0, 3), (own[3] ?? 1) * opacity(element)], back);
    const [high, low] = [light(front), light(back)].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.6 && +style.fontWeight >= 700);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < (large ? 3 : 4.5) - 0.01) { bad.add(`${ratio.toFixed(2)} ${text.slice(0, 50)}`); }
  }
  for (const field of document.querySelectorAll('input[placeholder], textarea[placeholder]')) {
    if (!field.placeholder || !field.checkVisibility({visibilityProperty: true})) { continue; }
    const style = getComputedStyle(field, '::placeholder'), back = behind(field), own = rgb(style.color);
    const front = over([...own.slice(0, 3), (own[3] ?? 1) * style.opacity * opacity(field)], back);
    const [high, low] = [light(front), light(back)].sort((x, y) => y - x);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.49) { bad.add(`${ratio.toFixed(2)} placeholder ${field.placeholder.slice(0, 50)}`); }
  }
  return [...bad];
}
