// Shared libraries that stay loaded: koffi closes one when nobody has its handle any more, while addresses of its functions may still be known.

import koffi, { type LibraryHandle } from 'koffi';

const open = new Set<LibraryHandle>();

/** `name`: a path, or a name that the system finds; null: this process's own. Throws what the loader says. */
export function openLibrary(name: string | null): LibraryHandle {
  const library = koffi.load(name, { global: true });
  open.add(library);
  return library;
}
