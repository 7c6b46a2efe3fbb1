"""JavaScript that copies text in the visitor's browser, and says that it did only if it did.

Browsers offer the clipboard only to pages from this machine or over https. Elsewhere the old command is tried, which
they may refuse too.
"""

from __future__ import annotations

_COPY = """const copy = async (text) => {
    try {
      if (navigator.clipboard) { await navigator.clipboard.writeText(text); return true; }
    } catch (refused) { /* the old way is left */ }
    const area = document.createElement('textarea');
    area.value = text; area.style.position = 'fixed'; area.style.opacity = 0;
    document.body.append(area); area.select();
    let copied = false;
    try { copied = document.execCommand('copy'); } catch (refused) { /* then nothing was copied */ }
    area.remove();
    return copied;
  };"""
COPY_LABEL = "Copy"
COPIED, NOT_COPIED = "Copied", "Not copied: mark the text and press Ctrl+C"
COPY_TEXT = f"""async (text) => {{
  {_COPY}
  if (!text) return 'Nothing to copy';
  return await copy(text) ? '{COPIED}' : '{NOT_COPIED}';
}}"""
"""Takes a text, and gives what the button says then."""
LABEL_AGAIN = f"() => new Promise((later) => setTimeout(() => later('{COPY_LABEL}'), 2500))"
"""Gives the button its label again after a moment."""
OPEN_LINK = f"""async (fragment) => {{
  {_COPY}
  const url = new URL(window.location.href); url.hash = fragment; history.replaceState(null, '', url);
  return [url.href, await copy(url.href) ? '{COPIED}' : ''];
}}"""
"""Takes a link's fragment; gives the address with it and whether it was copied."""
LISTEN_TO_ADDRESS = """() => {
  if (!window.skuFollowsAddress) {
    window.skuFollowsAddress = true;
    window.addEventListener('hashchange', () => document.querySelector('#address-changed')?.click());
  }
  return window.location.hash;
}"""
"""Gives the address's fragment; from then on, another one in the same tab, or Back, clicks a hidden button."""
READ_ADDRESS = "() => window.location.hash"
