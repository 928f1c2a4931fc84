// Packages that are needed for DICOM alone: optional dependencies, loaded when a file asks for them.

import { DataError } from '../errors.ts';

/** The package's exports. @throws `dicom-package` where it is not installed */
export async function optionalPackage<T>(name: string, why: string): Promise<T> {
  try {
    const loaded = (await import(name)) as { default?: unknown };
    return (loaded.default ?? loaded) as T;
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw err;
    throw new DataError('dicom-package', `A package that ${why} needs is not installed.`, {
      found: `no ${name}`,
      expected: `the optional dependency ${name}`,
      fix: `npm install ${name
        .split('/')
        .slice(0, name.startsWith('@') ? 2 : 1)
        .join('/')}, or convert to NIfTI (dcm2niix)`,
    });
  }
}
