// Where the model runs, why there, and how much memory it holds.

import type { DeviceInfo } from '../../runtime/index.ts';
import type { Desk } from './desk.ts';
import { element, make, showBytes } from './elements.ts';
import type { DeviceChoice } from './model.ts';

export async function showComputer({ model }: Desk, choice: DeviceChoice): Promise<void> {
  const { device, allocatedBytes } = model!.session;
  const facts: (readonly [string, string])[] = [
    [
      'Runs on',
      device.kind === 'webgpu' ? `the graphics card: ${device.description}` : `the processor: ${device.description}`,
    ],
    ['Because', await reason(device, choice)],
    ['Memory', `${showBytes(allocatedBytes)} held by the model`],
  ];
  const fill = (): void =>
    element('facts').replaceChildren(...facts.flatMap(([name, what]) => [make('dt', {}, name), make('dd', {}, what)]));
  fill();
  element('where').textContent =
    `Runs on ${device.kind === 'webgpu' ? 'the graphics card' : 'the processor'} of this computer`;
  const whole = await memoryOfPage();
  if (whole === null) return;
  facts.push(['', `${showBytes(whole)} by the page and its workers together`]);
  fill();
}

async function reason(device: DeviceInfo, choice: DeviceChoice): Promise<string> {
  if (choice !== 'auto') {
    const slow = device.software ? ', though it is a software one, which is slower than the processor' : '';
    return `you chose it${slow}`;
  }
  const threads = device.threads ?? 1;
  const alone =
    device.kind === 'wasm' && threads === 1 && !crossOriginIsolated
      ? '; one thread, since this page is not isolated from others (serve it without --no-isolation)'
      : '';
  if (device.kind === 'webgpu') return 'it is the fastest here';
  if (!isSecureContext) return `a browser gives a page no graphics card over plain http to another computer${alone}`;
  if (!navigator.gpu) return `this browser gives pages no graphics card (WebGPU)${alone}`;
  const adapter = await navigator.gpu.requestAdapter().catch(() => null);
  if (!adapter) return `no graphics card was found that the browser can use${alone}`;
  return `this browser has a software graphics card alone, which is slower than the processor${alone}`;
}

/** Only isolated pages are told. */
async function memoryOfPage(): Promise<number | null> {
  const measure = (performance as { measureUserAgentSpecificMemory?(): Promise<{ bytes: number }> })
    .measureUserAgentSpecificMemory;
  if (!crossOriginIsolated || !measure) return null;
  return measure.call(performance).then(
    ({ bytes }) => bytes,
    () => null,
  );
}
