// Finding a model: one that ships with t3dc, by name, or a user's own file.
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ModelError } from '../dsl/errors.ts';
import type { ModelSpec } from '../dsl/model.ts';

const SHIPPED: Readonly<Record<string, string>> = {
  t3d: '../models/t3d/index.ts',
  mlp: '../examples/mlp.ts',
  unet: '../examples/unet.ts',
};

/** `t3d`, or a path such as `./my-model.ts` whose default export is model({…}). */
export async function loadModel(name: string): Promise<ModelSpec<object>> {
  const shipped = SHIPPED[name];
  const url = shipped ? new URL(shipped, import.meta.url) : pathToFileURL(resolve(name));
  if (!shipped && !existsSync(url))
    throw new ModelError(
      'build-model',
      `no model '${name}': expected one of ${Object.keys(SHIPPED).join(', ')}, or the path of a model file such as ./my-model.ts`,
    );
  const module = (await import(url.href)) as { default?: ModelSpec<object> };
  const spec = module.default;
  if (!spec || typeof spec.build !== 'function')
    throw new ModelError(
      'build-model',
      `${name} has no model as its default export: write export default model({ name, settings, build })`,
    );
  return spec;
}
