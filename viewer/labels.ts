// What a label map says of itself in a viewer: names, colours, codes, what made it, and that nobody has looked at it yet.

import { labelColour, type Rgb } from '../data/canvas.ts';
import { DataError } from '../data/errors.ts';
import { type Code, segmentCodes } from '../data/segment-codes.ts';
import type { Manifest } from '../runtime/index.ts';
import type { Segmentation } from '../tasks/index.ts';
import type { Source } from './volume.ts';

/** Stands in the title, the overlay's description and the DICOM object of every result. */
export const NOTICE = 'AI, not reviewed, not for diagnosis';

/** What made the labels. */
export interface ModelIdentity {
  readonly name: string;
  readonly version: string;
  /** Of the lines "SHA-256, two spaces, path" of the artifact's files, sorted by path: `sha256sum` twice gives it. */
  readonly artifactSha256: string;
  readonly weightsSha256: string;
}

export interface Label {
  /** The value of its voxels. */
  readonly id: number;
  readonly name: string;
  readonly colour: Rgb;
  /** SNOMED CT where the name is known, else 99T3DC. */
  readonly category: Code;
  readonly type: Code;
  readonly side?: Code;
  readonly algorithmType: 'AUTOMATIC';
  readonly algorithmName: string;
  readonly algorithmVersion: string;
  readonly artifactSha256: string;
  readonly weightsSha256: string;
}

/** A result's description: plain data, to be kept with it. */
export interface LabelMap {
  /** The model's name and the notice. */
  readonly title: string;
  readonly notice: typeof NOTICE;
  /** One a class, without the background. */
  readonly labels: readonly Label[];
  readonly source: Source;
}

/**
 * The model that a session runs.
 * @param weights the file that was loaded, or its SHA-256
 * @param version of the model; default what compiled it
 * @throws DataError `viewer-hash` for what is neither, and where the page is no secure context
 */
export async function identify(
  manifest: Pick<Manifest, 'generator' | 'model' | 'files'>,
  weights: Uint8Array | ArrayBuffer | string,
  version: string = manifest.generator,
): Promise<ModelIdentity> {
  const files = Object.entries(manifest.files).sort(([a], [b]) => (a < b ? -1 : 1));
  const listing = files.map(([path, { sha256: hash }]) => `${hash}  ${path}\n`).join('');
  return {
    name: manifest.model.name,
    version,
    artifactSha256: await sha256(new TextEncoder().encode(listing)),
    weightsSha256: typeof weights === 'string' ? digest(weights) : await sha256(weights),
  };
}

/** What `labelsTo` of every adapter takes beside the labels. */
export function describe(
  segmentation: Pick<Segmentation, 'classNames'>,
  model: ModelIdentity,
  source: Source = {},
): LabelMap {
  const { name: algorithmName, version: algorithmVersion, artifactSha256, weightsSha256 } = model;
  const labels = segmentation.classNames.slice(1).map((name, at) => ({
    id: at + 1,
    name,
    colour: labelColour(at + 1),
    ...segmentCodes(name),
    algorithmType: 'AUTOMATIC' as const,
    algorithmName,
    algorithmVersion,
    artifactSha256,
    weightsSha256,
  }));
  return { title: `${algorithmName} (${NOTICE})`, notice: NOTICE, labels, source };
}

/** A label as an item of DICOM's Segment Sequence, by keyword: what dcmjs and Cornerstone's adapters take. */
export function dicomSegment(label: Label): Record<string, unknown> {
  const { side } = label;
  return {
    SegmentNumber: label.id,
    SegmentLabel: label.name.slice(0, 64),
    SegmentDescription: `${NOTICE}. Artifact SHA-256 ${label.artifactSha256}, weights SHA-256 ${label.weightsSha256}`,
    SegmentAlgorithmType: label.algorithmType,
    SegmentAlgorithmName: `${label.algorithmName} ${label.algorithmVersion}`.slice(0, 64),
    SegmentedPropertyCategoryCodeSequence: [coded(label.category)],
    SegmentedPropertyTypeCodeSequence: [
      { ...coded(label.type), ...(side && { SegmentedPropertyTypeModifierCodeSequence: [coded(side)] }) },
    ],
  };
}

const coded = ({ value, scheme, meaning }: Code) => ({
  CodeValue: value,
  CodingSchemeDesignator: scheme,
  CodeMeaning: meaning.slice(0, 64),
});

function digest(text: string): string {
  if (/^[0-9a-f]{64}$/i.test(text)) return text.toLowerCase();
  throw hashError(text.slice(0, 80));
}

async function sha256(bytes: Uint8Array | ArrayBuffer): Promise<string> {
  // Pages that are served over plain HTTP have no crypto.subtle.
  if (!globalThis.crypto?.subtle) throw hashError('no crypto.subtle in this page');
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>));
  return Array.from(hash, (b) => b.toString(16).padStart(2, '0')).join('');
}

const hashError = (found: string) =>
  new DataError('viewer-hash', 'What made the labels cannot be told by its SHA-256.', {
    found,
    expected: 'bytes of the weights or 64 hexadecimal digits, in a page over HTTPS or on localhost',
    fix: 'pass the file that was loaded',
  });
