// The page's elements, and the few ways in which it speaks: a progress line, a problem, a word to who listens.

/** @throws where index.html has no such element */
export function element<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`no element #${id}`);
  return found as T;
}

export const button = (id: string): HTMLButtonElement => element<HTMLButtonElement>(id);

/** An element with text or children. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string>> = {},
  ...content: readonly (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...content);
  return made;
}

export const show = (id: string, shown: boolean): void => {
  element(id).hidden = !shown;
};

/** Tells a screen reader; nothing is seen. */
export function announce(text: string): void {
  element('live').textContent = text;
}

export function showProblem(title: string, e: unknown): void {
  const { problem, hint } = wordsOf(e);
  element('problem').replaceChildren(make('h2', {}, title), make('p', {}, problem), make('p', {}, hint));
  show('problem', true);
  console.error(e);
}

export const clearProblem = (): void => show('problem', false);

/** What was found, what was expected and what to do, for people: the parts of an error without its code. */
function wordsOf(e: unknown): { readonly problem: string; readonly hint: string } {
  const { message = String(e), hint = '' } = e as Partial<Error> & { readonly hint?: string };
  const part = (name: string): string => new RegExp(`^ +${name}: +(.*)$`, 'm').exec(message)?.[1] ?? '';
  const [first = ''] = message.split('\n');
  const found = part('found');
  const expected = part('expected');
  const said = [first, found && `Found: ${found}.`, expected && `Expected: ${expected}.`].filter(Boolean).join(' ');
  const told = hint && said.endsWith(hint) ? said.slice(0, -hint.length).trim() : said;
  const todo = hint || part('do');
  return { problem: told, hint: todo && todo[0]!.toUpperCase() + todo.slice(1) + (/[.!?]$/.test(todo) ? '' : '.') };
}

/** The button that is next in line is the one that stands out. */
export function primary(id: string | null): void {
  for (const b of document.querySelectorAll('#panel button.primary')) b.classList.remove('primary');
  if (id) element(id).classList.add('primary');
}

export const showTime = (seconds: number): string =>
  seconds < 1.5 ? 'a second' : seconds < 90 ? `${Math.round(seconds)} seconds` : `${Math.round(seconds / 60)} minutes`;

export const showBytes = (n: number): string =>
  n >= 2 ** 30 ? `${(n / 2 ** 30).toFixed(1)} GB` : `${Math.max(1, Math.round(n / 2 ** 20))} MB`;

/** Lets the browser's user keep a file. */
export function download(bytes: Uint8Array<ArrayBuffer>, name: string): void {
  const url = URL.createObjectURL(new Blob([bytes], { type: 'application/octet-stream' }));
  make('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
