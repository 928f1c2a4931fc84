// Finding studies by what a report would say of them: an index that t3dc embed wrote, scored in the worker.

import type { Sections } from '../../data/report-tokens.ts';
import { TextTokenizer } from '../../data/tokens.ts';
import { readSafetensors, type Session, toFloat32 } from '../../runtime/index.ts';
import { type ContrastMoments, Retrieval } from '../../tasks/retrieval.ts';
import { openInWorker, type WorkerSession } from '../open-in-worker.ts';
import type { SearchConfig } from './config.ts';
import type { Desk } from './desk.ts';
import { announce, element, make, show } from './elements.ts';

const MOST = 10;

/** Offers the search, or says why there is none. */
export function search(desk: Desk, config: SearchConfig | null): void {
  if (!config) {
    const can = desk.model && 'embedReport' in desk.model.session.manifest.entries;
    element('search-none').textContent = can
      ? 'This model can compare scans with text, but no studies are served to search in: t3dc serve --index FILE.'
      : 'This model has no text side, so there is nothing to search by.';
    return;
  }
  show('search-none', false);
  show('search-form', true);
  let opened: Promise<Index> | null = null;
  element<HTMLFormElement>('search-form').onsubmit = (e) => {
    e.preventDefault();
    const text = element<HTMLInputElement>('query').value.trim();
    if (!text) return;
    void desk.work('The search failed', async () => {
      element('search-text').textContent = 'Searching …';
      try {
        opened ??= openIndex(desk, config);
        await find(await opened, text);
      } catch (err) {
        opened = null;
        element('search-text').textContent = '';
        throw err;
      }
    });
  };
}

async function find({ retrieval, tokenizer, about, studies, moments }: Index, text: string): Promise<void> {
  const read = retrieval.read(text, tokenizer, { sections: about.sections });
  if (!read) {
    element('search-text').textContent = 'This says nothing that a report would. Try a sentence.';
    return;
  }
  const [query] = await retrieval.embedReports([read.row]);
  const scores = (await retrieval.scores(studies, [query!], moments)).map((row) => row[0]!);
  const order = scores.map((_, n) => n).sort((a, b) => scores[b]! - scores[a]! || a - b);
  const items = order.slice(0, MOST).map((n) => {
    const name = about.studies[n]!.name;
    return make('li', {}, make('span', {}, scores[n]!.toFixed(2)), name);
  });
  element('found').replaceChildren(...items);
  const said = `The ${items.length} closest of ${studies.length} studies. Only the order and the differences of the figures mean something.`;
  element('search-text').textContent = said;
  announce(said);
}

interface Index {
  readonly retrieval: Retrieval;
  readonly tokenizer: TextTokenizer;
  readonly about: { readonly sections: Sections; readonly studies: readonly { readonly name: string }[] };
  readonly studies: readonly Float32Array[];
  readonly moments: ContrastMoments;
}

async function openIndex(desk: Desk, config: SearchConfig): Promise<Index> {
  const json = async (url: string): Promise<unknown> => (await fetch(url)).json();
  const session = await openInWorker(config.artifact, {
    share: desk.model!.session,
    device: desk.model!.session.device.kind,
  });
  await session.loadWeights(config.weights.url, { integrity: config.weights.sha256, strict: false });
  const tokenizer = new TextTokenizer(await json(config.tokenizer.url), await json('search/tokenizer_config.json'));
  const file = readSafetensors(new Uint8Array(await (await fetch(config.index.url)).arrayBuffer()));
  const of = (name: string): Float32Array => toFloat32(file.tensors.get(name)!);
  const about = JSON.parse(file.metadata.index!) as Index['about'];
  const all = of('study');
  const each = all.length / about.studies.length;
  return {
    retrieval: new Retrieval(asSession(session)),
    tokenizer,
    about,
    studies: about.studies.map((_, n) => all.subarray(n * each, (n + 1) * each)),
    moments: {
      study: { mean: of('study_mean'), variance: of('study_variance') },
      text: { mean: of('text_mean'), variance: of('text_variance') },
    },
  };
}

/** What Retrieval asks of a session, by one in a worker. */
const asSession = (session: WorkerSession): Session =>
  ({
    manifest: session.manifest,
    entries: session.entries,
    entry: (name: string) => session.manifest.entries[name],
  }) as unknown as Session;
