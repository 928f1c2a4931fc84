// From a DICOM series to a DICOM segmentation on the command line, on the wasm target: the same file as from the series as
// NIfTI, and the labels that the NIfTI way gives.

import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { version } from '../../cli/version.ts';
import { phantom, reorient, writeDicomSeg } from '../../data/index.ts';
import { readVolume, seriesUnder, writeVolume } from '../../data/node.ts';
import { open } from '../../runtime/index.ts';
import { dicomSlice } from '../dicom-slice.ts';

const tool = fileURLToPath(new URL('../../bin/t3dc.mjs', import.meta.url));
const model = fileURLToPath(new URL('./cli-model.ts', import.meta.url));

/** Runs the tool; its last line as JSON, and its exit code. */
function t3dc(words: readonly string[]): Promise<{ code: number | null; told: string; json: Record<string, unknown> }> {
  return new Promise((done) => {
    const child = spawn(process.execPath, [tool, ...words, '--json']);
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (d: Buffer) => {
      stdout += d.toString();
    });
    child.stderr.on('data', (d: Buffer) => {
      stderr += d.toString();
    });
    child.on('close', (code) => {
      const last = stdout.trim().split('\n').at(-1) ?? '';
      done({ code, told: `${stderr}${stdout.slice(-2000)}`, json: last.startsWith('{') ? JSON.parse(last) : {} });
    });
  });
}

test('a DICOM series in, a DICOM segmentation out', async () => {
  const dir = await mkdtemp(join(tmpdir(), 't3dc-dicom-'));
  try {
    const artifact = join(dir, 'unet');
    const built = await t3dc(['build', model, '-o', artifact]);
    assert.is(built.code, 0, built.told);
    // Weights as drawn: some class has voxels, which is enough here.
    const session = await open(artifact, { device: 'wasm', threads: 1, seed: 3 });
    const weights = join(dir, 'weights.safetensors');
    await writeFile(weights, await session.weights());
    await session.close();

    const scan = phantom({ seed: 3, index: 1, size: [38, 41, 36], spacing: [5, 5, 5] }).image;
    const folder = join(dir, 'series');
    await mkdir(folder);
    for (let k = 0; k < 36; k++) await writeFile(join(folder, `${(k * 7) % 36}`), dicomSlice(scan, k));
    const turned = join(dir, 'scan.nii.gz');
    await writeVolume(turned, reorient(scan, { axes: [1, 0, 2], flips: [true, false, true] }));

    const segment = ['segment', artifact, '--weights', weights, '--device', 'wasm', '--threads', '1'];
    const nifti = join(dir, 'from-dicom.nii.gz');
    const [seg, other] = [join(dir, 'seg.dcm'), join(dir, 'seg-of-nifti.dcm')];
    for (const words of [
      ['--in', folder, '--out', nifti],
      ['--in', folder, '--out', seg],
      ['--in', turned, '--dicom', folder, '--out', other],
    ]) {
      const ran = await t3dc([...segment, ...words]);
      assert.is(ran.code, 0, ran.told);
    }
    const labels = await readVolume(nifti);
    assert.ok(new Set(labels.data).size > 1);
    const series = await seriesUnder(labels, folder, null);
    assert.is(series.instances.length, 36);
    const classNames = ['background', 'liver', 'spleen', 'kidneys', 'lungs', 'spine'];
    const expected = await writeDicomSeg(labels, series, { classNames, algorithm: 'cli-unet', version: version() });
    assert.ok((await readFile(seg)).equals(expected));
    assert.ok((await readFile(other)).equals(expected), 'of the same scan as NIfTI, its axes turned');

    const none = await t3dc([...segment, '--in', turned, '--out', seg]);
    assert.is((none.json.error as { code: string }).code, 'missing-argument');
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

test.run();
