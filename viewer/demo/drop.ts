// How a scan comes to the page: dropped anywhere on it, or chosen as a file or a folder.

import { button, element, show } from './elements.ts';
import type { NamedFile } from './files.ts';

export function onFiles(take: (files: readonly NamedFile[]) => void): void {
  const input = element<HTMLInputElement>('file-input');
  const folder = element<HTMLInputElement>('folder-input');
  button('choose-file').onclick = () => input.click();
  button('choose-folder').onclick = () => folder.click();
  for (const chosen of [input, folder])
    chosen.onchange = () => {
      const files = Array.from(chosen.files ?? [], (file) => ({ file, path: file.webkitRelativePath || file.name }));
      // The same one can be chosen again.
      chosen.value = '';
      if (files.length > 0) take(files);
    };

  let inside = 0;
  const hint = (shown: boolean): void => show('drop-here', shown);
  document.addEventListener('dragenter', (e) => {
    e.preventDefault();
    if (inside++ === 0) hint(true);
  });
  document.addEventListener('dragleave', () => {
    if (--inside === 0) hint(false);
  });
  document.addEventListener('dragover', (e) => e.preventDefault());
  document.addEventListener('drop', async (e) => {
    e.preventDefault();
    inside = 0;
    hint(false);
    // Items are gone after the event: all are asked before anything is waited for.
    const items = Array.from(e.dataTransfer?.items ?? []).filter((item) => item.kind === 'file');
    const files = (await Promise.all(items.map(filesIn))).flat();
    if (files.length > 0) take(files);
  });
}

/** A dropped file, or all files of a dropped folder. */
function filesIn(item: DataTransferItem): Promise<NamedFile[]> {
  const entry = item.webkitGetAsEntry();
  const file = item.getAsFile();
  if (entry?.isDirectory) return filesOf(entry);
  return Promise.resolve(file ? [{ file, path: file.name }] : []);
}

/** Every file of a folder, at any depth. */
async function filesOf(entry: FileSystemEntry): Promise<NamedFile[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    return [{ file, path: entry.fullPath.slice(1) }];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const all: NamedFile[] = [];
  // A folder is told in portions of a hundred or so.
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return all;
    all.push(...(await Promise.all(some.map(filesOf))).flat());
  }
}
