// The scan on screen, by NiiVue: three planes, labels over them, a drawing on them.

import type { Niivue, NVImage } from '@niivue/niivue';
import type { Segmentation } from '../../tasks/index.ts';
import type { LabelMap } from '../labels.ts';
import { labelsTo, volumeOf } from '../niivue.ts';
import type { TaskVolume } from '../volume.ts';

export type Plane = 'planes' | 'axial' | 'coronal' | 'sagittal';
export type Contrast = 'abdomen' | 'chest' | 'bone';

/** HU */
const CONTRASTS: Readonly<Record<Contrast, readonly [number, number]>> = {
  abdomen: [-160, 240],
  chest: [-1350, 150],
  bone: [-450, 1050],
};

/** Arrow keys and page keys, in voxels right, forward and up. */
const KEYS: Readonly<Record<string, readonly [number, number, number]>> = {
  ArrowLeft: [-1, 0, 0],
  ArrowRight: [1, 0, 0],
  ArrowUp: [0, 1, 0],
  ArrowDown: [0, -1, 0],
  PageUp: [0, 0, 1],
  PageDown: [0, 0, -1],
};

type Overlay = NVImage & { readonly t3dc: LabelMap };

export class View {
  readonly #canvas: HTMLCanvasElement;
  #opening: Promise<Opened> | null = null;
  #opened: Opened | null = null;
  #image: NVImage | null = null;
  #overlay: Overlay | null = null;
  #opacity = 0.5;
  #contrast: Contrast = 'abdomen';

  constructor(canvas: HTMLCanvasElement) {
    this.#canvas = canvas;
    // Before NiiVue's own keys, which want the mouse over the canvas.
    canvas.addEventListener('keydown', (e) => {
      const move = KEYS[e.key];
      if (!move || !this.#opened) return;
      this.#opened.nv.moveCrosshairInVox(...move);
      e.preventDefault();
      e.stopImmediatePropagation();
    });
  }

  /** Shows another scan; the one before goes, with its labels. */
  async show(nifti: ArrayBuffer, name: string): Promise<void> {
    const { nv, NVImage: Image } = await this.#open();
    const image = await Image.loadFromFile({ file: new File([nifti], 'scan.nii'), name });
    this.clear();
    this.#image = image;
    [image.cal_min, image.cal_max] = CONTRASTS[this.#contrast];
    nv.addVolume(image);
  }

  /** What the model takes: the viewer's own voxels. @throws DataError */
  volume(): Promise<TaskVolume> {
    return volumeOf(this.#image as never);
  }

  async showLabels(segmentation: Pick<Segmentation, 'labels'>, map: LabelMap): Promise<void> {
    const { nv } = this.#opened!;
    this.closeDrawing();
    this.clearLabels();
    this.#overlay = (await labelsTo(nv as never, this.#image as never, segmentation, map, {
      opacity: this.#opacity,
    })) as unknown as Overlay;
    this.hide(new Set());
  }

  /** Structures that are not drawn, by the values of their voxels. */
  hide(ids: ReadonlySet<number>): void {
    const overlay = this.#overlay;
    if (!overlay) return;
    overlay.setColormapLabel(colours(overlay.t3dc, ids) as never);
    this.#opened!.nv.updateGLVolume();
  }

  set opacity(share: number) {
    this.#opacity = share;
    const { nv } = this.#opened!;
    const at = this.#overlay ? nv.volumes.indexOf(this.#overlay) : -1;
    if (at >= 0) nv.setOpacity(at, share);
    nv.setDrawOpacity(share);
  }

  set planes(plane: Plane) {
    const { nv, SLICE_TYPE: types } = this.#opened!;
    const { MULTIPLANAR, AXIAL, CORONAL, SAGITTAL } = types;
    nv.setSliceType({ planes: MULTIPLANAR, axial: AXIAL, coronal: CORONAL, sagittal: SAGITTAL }[plane]);
  }

  set contrast(contrast: Contrast) {
    this.#contrast = contrast;
    if (!this.#image) return;
    [this.#image.cal_min, this.#image.cal_max] = CONTRASTS[contrast];
    this.#opened!.nv.updateGLVolume();
  }

  /** Begins a drawing: of what was found, or of nothing. */
  draw(map: LabelMap): void {
    const { nv } = this.#opened!;
    // It takes colours as well as the name of some.
    nv.setDrawColormap(colours(map, new Set()) as never);
    if (this.#overlay) {
      nv.loadDrawing(this.#overlay);
      nv.setOpacity(nv.volumes.indexOf(this.#overlay), 0);
    } else nv.createEmptyDrawing();
    nv.setDrawOpacity(this.#opacity);
    nv.setDrawingEnabled(true);
  }

  pen(id: number, size: number): void {
    const { nv } = this.#opened!;
    nv.opts.penSize = size;
    nv.setPenValue(id, false);
  }

  undoDrawing(): void {
    this.#opened!.nv.drawUndo();
  }

  /** The drawing as a NIfTI file, on the scan's own axes. */
  async drawing(): Promise<File> {
    const bytes = await this.#opened!.nv.saveImage({ filename: '', isSaveDrawing: true, volumeByIndex: 0 });
    if (!(bytes instanceof Uint8Array)) throw new Error('NiiVue has no drawing');
    return new File([bytes as Uint8Array<ArrayBuffer>], 'painted labels.nii');
  }

  closeDrawing(): void {
    const { nv } = this.#opened!;
    nv.setDrawingEnabled(false);
    nv.closeDrawing();
    if (this.#overlay) nv.setOpacity(nv.volumes.indexOf(this.#overlay), this.#opacity);
  }

  clearLabels(): void {
    if (this.#overlay) this.#opened!.nv.removeVolume(this.#overlay);
    this.#overlay = null;
  }

  clear(): void {
    if (!this.#opened || !this.#image) return;
    this.closeDrawing();
    this.clearLabels();
    this.#opened.nv.removeVolume(this.#image);
    this.#image = null;
  }

  async #open(): Promise<Opened> {
    this.#canvas.hidden = false;
    this.#opening ??= open(this.#canvas);
    this.#opened = await this.#opening;
    return this.#opened;
  }
}

type Opened = typeof import('@niivue/niivue') & { readonly nv: Niivue };

async function open(canvas: HTMLCanvasElement): Promise<Opened> {
  const niivue = await import('@niivue/niivue');
  const nv = new niivue.Niivue({
    dragAndDropEnabled: false,
    backColor: [0.043, 0.051, 0.051, 1],
    crosshairColor: [0.36, 0.77, 0.71, 0.85],
    crosshairWidth: 0.3,
    crosshairWidthUnit: 'percent',
    crosshairGap: 6,
    isCornerOrientationText: true,
    fontColor: [0.62, 0.66, 0.65, 1],
    multiplanarShowRender: niivue.SHOW_RENDER.NEVER,
    multiplanarPadPixels: 6,
    isRadiologicalConvention: true,
    logLevel: 'error',
    loadingText: '',
  });
  await nv.attachToCanvas(canvas);
  return { ...niivue, nv };
}

function colours({ labels }: LabelMap, hidden: ReadonlySet<number>) {
  return {
    R: [0, ...labels.map((l) => l.colour[0])],
    G: [0, ...labels.map((l) => l.colour[1])],
    B: [0, ...labels.map((l) => l.colour[2])],
    A: [0, ...labels.map((l) => (hidden.has(l.id) ? 0 : 255))],
    I: [0, ...labels.map((l) => l.id)],
    labels: ['', ...labels.map((l) => l.name)],
  };
}
