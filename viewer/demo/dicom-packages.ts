// data/dicom/optional.ts for the page: what it has with it, and what it has not.

import { DataError } from '../../data/errors.ts';

const PACKAGES: Readonly<Record<string, () => Promise<unknown>>> = {
  'dicom-parser': () => import('dicom-parser'),
  // @ts-expect-error It comes without types.
  'jpeg-lossless-decoder-js': () => import('jpeg-lossless-decoder-js'),
};

/** The package's exports. @throws `dicom-package` for what the page has not */
export async function optionalPackage<T>(name: string, why: string): Promise<T> {
  const load = PACKAGES[name];
  if (!load)
    throw new DataError('dicom-package', `This page has no decoder that ${why} needs.`, {
      found: `images compressed as ${name.replace(/^.*codec-|\/.*$/g, '')} reads them`,
      expected: 'uncompressed, RLE or lossless JPEG',
      fix: 'use the command line, which reads it (t3dc segment), or convert to NIfTI (dcm2niix)',
    });
  const loaded = (await load()) as { default?: unknown };
  return (loaded.default ?? loaded) as T;
}
