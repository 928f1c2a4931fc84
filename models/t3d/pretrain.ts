// Pre-training as an entry: the studies' tiles and the reports' tokens in, the losses out. And its forward-only companions: what
// tells that text was used (`diagnose`), where a sentence looks (`ground`), and a restored tile (`restore`).
import { differentiateAll } from '../../dsl/differentiate.ts';
import {
  constant,
  crossEntropy,
  f32,
  type InputSpec,
  i32,
  linear,
  overTiles,
  scope,
  Tensor,
  uniform,
} from '../../dsl/index.ts';
import { attendedTokens, voxelsOf } from './attended-mask.ts';
import { backbone, widths } from './backbone.ts';
import {
  attentionOf,
  type Contrast,
  pooledContrast,
  sentenceContrast,
  sentenceFeatures,
  viewContrast,
} from './contrast.ts';
import type { FalseReports } from './counterfactual.ts';
import { CONTRAST, checkPretrain, measured, usesText } from './pretrain-settings.ts';
import { cleanTarget, orNull, type ReportTokens, restorationLoss, restore } from './restore.ts';
import type { Settings } from './settings.ts';
import { seesSentence, textInputs, textTokens } from './text.ts';
import { checkText, frozenLayers } from './text-settings.ts';

type Tensors = Readonly<Record<string, Tensor>>;
type Inputs = Readonly<Record<string, InputSpec>>;

const volumeAxes = (s: Settings) => {
  const [d, h, w] = s.size;
  return { c: s.inChannels, d, h, w };
};

const tilesInput = (s: Settings): Inputs => ({ tiles: f32({ b: s.batch, k: s.pretrain.tiles, ...volumeAxes(s) }) });
const sentenceInput = (s: Settings): Inputs => ({ sentence_ids: i32({ b: s.batch, t: s.textTokens }) });
const pairInput = (s: Settings): Inputs => ({ pair_mask: i32({ b: s.batch, b2: s.batch }) });

export function pretrainInputs(s: Settings): Inputs {
  const p = s.pretrain;
  const kind = CONTRAST[p.method];
  const { c, d, h, w } = volumeAxes(s);
  const attends = kind === 'sentences' && p.mask === 'attended';
  return {
    ...(kind === 'none' ? {} : tilesInput(s)),
    ...(kind === 'sentences' && p.lambdaView > 0 ? { tiles_b: tilesInput(s).tiles! } : {}),
    ...(p.lambdaTir > 0
      ? {
          tiles_corrupt: f32({ b: s.batch, r: p.restored, c, d, h, w }),
          tiles_clean: f32({ b: s.batch, r: p.restored, c, d, h, w }),
          ...(attends
            ? { restored_tile: i32({ b: s.batch, r: p.restored }), asked_sentence: i32({ b: s.batch, r: p.restored }) }
            : { corrupt_mask: i32({ b: s.batch, r: p.restored, d, h, w }) }),
        }
      : {}),
    ...(usesText(p) ? textInputs(s) : {}),
    ...(kind === 'sentences' ? sentenceInput(s) : {}),
    ...(kind === 'sentences' || kind === 'pooled' ? pairInput(s) : {}),
    ...(kind === 'sentences' && p.counterfactuals > 0 ? counterInputs(s) : {}),
    ...(p.method === 'swinssl' ? { rotation: i32({ b: s.batch, k: p.tiles }) } : {}),
  };
}

/** False reports, f of each study; one whose row has no sentence is none. */
function counterInputs(s: Settings): Inputs {
  const rows = { b: s.batch, f: s.pretrain.counterfactuals, t: s.textTokens };
  return {
    ...(frozenLayers(s) === null
      ? { counter_ids: i32(rows) }
      : { counter_hidden: f32({ ...rows, c: s.text.hiddenSize }) }),
    counter_mask: i32(rows),
    counter_sentence_ids: i32(rows),
  };
}

function falseReports(x: Tensors, s: Settings): FalseReports {
  const flat = (v: Tensor | undefined): Tensor | undefined => v?.merge('b f', 'all').rename({ all: 'b' });
  const row = {
    input_ids: flat(x.counter_ids),
    text_hidden: flat(x.counter_hidden),
    attention_mask: flat(x.counter_mask),
    sentence_ids: flat(x.counter_sentence_ids),
  };
  const given = Object.fromEntries(Object.entries(row).filter(([, v]) => v)) as Tensors;
  const { features, valid } = sentenceFeatures(textTokens(given, s), given.sentence_ids!, s.pretrain.sentences);
  const f = s.pretrain.counterfactuals;
  return { features: features.split('b', { b: s.batch, f }), valid: valid.split('b', { b: s.batch, f }) };
}

/** tiles [b k c d h w] -> tokens [b k n c], the memory being that of `tileBatch` tiles. */
export function tokensOf(tiles: Tensor, s: Settings, training: boolean): Tensor {
  const [b, k] = [tiles.size('b'), tiles.size('k')];
  const net = backbone(s, training);
  const all = tiles.merge('b k', 'all').split('all', { group: -1, b: s.pretrain.tileBatch });
  const { tokens } = overTiles({ all }, 'group', ({ all: x }) => ({
    tokens: net.tokens(net.encode(x!.permute('b d h w c'))).merge('d h w', 'n'),
  }));
  return tokens.merge('group b', 'all').split('all', { b, k });
}

interface Parts {
  readonly contrast: Contrast | null;
  /** [b k n c] */
  readonly tokens: Tensor | null;
  readonly tir: Tensor | null;
  readonly rotation: Tensor | null;
}

function parts(x: Tensors, s: Settings, training: boolean): Parts {
  const p = s.pretrain;
  checkPretrain(p, s.batch, widths(s).deepest);
  const kind = CONTRAST[p.method];
  const report: ReportTokens | null = usesText(p) ? reportOf(x, s) : null;
  let contrast: Contrast | null = null;
  let rotation: Tensor | null = null;
  let hidden: Tensor | null = null;
  const v = kind === 'none' ? null : tokensOf(x.tiles!, s, training);
  const tokens = v?.merge('k n', 'n') ?? null;
  if (kind === 'sentences') {
    const { features, valid } = sentenceFeatures(report!.features, x.sentence_ids!, p.sentences);
    contrast = sentenceContrast(tokens!, features, valid, x.pair_mask!, p, {
      view: p.lambdaView > 0 ? tokensOf(x.tiles_b!, s, training).merge('k n', 'n') : null,
      counter: p.counterfactuals > 0 ? falseReports(x, s) : null,
    });
    if (p.lambdaTir > 0 && p.mask === 'attended')
      hidden = attendedTokens(v!, features, x.restored_tile!, x.asked_sentence!, p, valid);
  } else if (kind === 'pooled') {
    const m = report!.mask.cast('f32');
    const text = report!.features.mul(m).sum('t').div(m.sum('t').max(1));
    contrast = pooledContrast(tokens!.mean('n'), text, x.pair_mask!, p);
  } else if (v && kind === 'views') {
    const pooled = v.mean('n').rename({ k: 'v' });
    contrast = viewContrast(pooled, p);
    if (p.method === 'swinssl') {
      const logits = scope('rotation', () => linear(pooled, 4, { axis: 'c' }));
      rotation = crossEntropy(logits, x.rotation!.rename({ k: 'v' }));
    }
  }
  return { contrast, tokens: v, rotation, tir: p.lambdaTir > 0 ? restoration(x, report, hidden, s, training) : null };
}

const reportOf = (x: Tensors, s: Settings): ReportTokens => {
  checkText(s.text, s.textTokens);
  return { features: textTokens(x, s), mask: x.attention_mask! };
};

/** Mean over the restored tiles, in the memory of `restoreBatch`. `hidden` [b r n]: the tokens of each whose voxels are corrupted, and
 *  then tiles_corrupt is what is put there; null: they are so already. */
function restoration(
  x: Tensors,
  report: ReportTokens | null,
  hidden: Tensor | null,
  s: Settings,
  training: boolean,
): Tensor {
  const p = s.pretrain;
  const text = report && p.restoreText ? report : null;
  const shown =
    text && training && p.textDropout > 0
      ? orNull(text, uniform([{ name: 'b', size: s.batch }]).lt(p.textDropout))
      : text;
  const cut = (v: Tensor): Tensor => v.merge('b r', 'all').split('all', { group: -1, b: p.restoreBatch });
  const each = (v: Tensor): Tensor => cut(v.expand('r', p.restored, v.names[1]!));
  const given = {
    corrupt: cut(x.tiles_corrupt!),
    clean: cut(x.tiles_clean!),
    ...(hidden ? { hidden: cut(hidden) } : { mask: cut(x.corrupt_mask!) }),
    ...(shown ? { features: each(shown.features), keep: each(shown.mask) } : {}),
  } as Tensors;
  const net = backbone(s, training);
  const { loss } = overTiles(
    given,
    'group',
    (tile) => {
      const tokens = tile.features ? { features: tile.features, mask: tile.keep! } : null;
      const target = cleanTarget(tile.clean!, net);
      if (!tile.hidden)
        return { loss: restorationLoss(restore(tile.corrupt!, tokens, net, p), tile.clean!, tile.mask!, target, p) };
      const mask = voxelsOf(tile.hidden, s.size).gt(0);
      const corrupt = mask.expand('c', s.inChannels, 'd').where(tile.corrupt!, tile.clean!);
      return { loss: restorationLoss(restore(corrupt, tokens, net, p), tile.clean!, mask, target, p) };
    },
    ['loss'],
  );
  return loss!.mul(p.restoreBatch / (s.batch * p.restored));
}

/** loss, tcl, tir, and accuracy: the part of the batch's studies that know their own report (or view). With the options: view, its loss;
 *  counters, how many false reports there were, and counter_accuracy, the part of them that score below the true one. */
export function pretrain(x: Tensors, s: Settings): Tensors {
  const p = s.pretrain;
  const { contrast, tir, rotation } = parts(x, s, true);
  const terms = [
    ...(contrast ? [contrast.loss.mul(p.lambdaTcl)] : []),
    ...(tir ? [tir.mul(p.lambdaTir)] : []),
    ...(rotation ? [rotation.mul(p.lambdaRotation)] : []),
    ...(contrast?.view ? [contrast.view.mul(p.lambdaView)] : []),
  ];
  return {
    loss: terms.reduce((a, b) => a.add(b)),
    tcl: contrast?.loss ?? constant(0),
    tir: tir ?? constant(0),
    accuracy: contrast?.accuracy ?? constant(0),
    ...(contrast?.view ? { view: contrast.view } : {}),
    ...(contrast?.counters ? { counters: contrast.counters, counter_accuracy: contrast.counterAccuracy! } : {}),
  };
}

const asMeasured = (s: Settings): Settings => ({ ...s, pretrain: measured(s.pretrain) });

export const diagnoseInputs = (s: Settings): Inputs => pretrainInputs(asMeasured(s));

/** Without dropout and without the options: tcl, tir, accuracy, and grad_tokens, the norm of ∂tcl/∂V: 0 where the images were not used; and,
 *  where reports are compared, scores [b b2] of study b and report b2. */
export function diagnose(x: Tensors, s: Settings): Tensors {
  const { contrast, tokens, tir } = parts(x, asMeasured(s), false);
  const g = contrast && tokens ? differentiateAll([contrast.loss.value], [null], [tokens.value])[0] : null;
  const slope = g ? new Tensor(g) : null;
  return {
    tcl: contrast?.loss ?? constant(0),
    tir: tir ?? constant(0),
    accuracy: contrast?.accuracy ?? constant(0),
    grad_tokens: slope ? slope.mul(slope).sum(slope.names.join(' ')).sqrt() : constant(0),
    ...(contrast?.scores ? { scores: contrast.scores.rename({ j: 'b', i: 'b2' }) } : {}),
  };
}

export const groundInputs = (s: Settings): Inputs => ({ ...tilesInput(s), ...textInputs(s), ...sentenceInput(s) });

/** attention [b s k n]: the weights with which each sentence of a report looks at the tokens of its own study. */
export function ground(x: Tensors, s: Settings): Tensors {
  const v = tokensOf(x.tiles!, s, false);
  const { features, valid } = sentenceFeatures(reportOf(x, s).features, x.sentence_ids!, s.pretrain.sentences);
  const a = attentionOf(v.merge('k n', 'n'), features, s.pretrain, valid);
  return { attention: a.split('n', { k: v.size('k'), n: v.size('n') }) };
}

export const restoreInputs = (s: Settings): Inputs => ({
  volume: f32({ b: s.batch, ...volumeAxes(s) }),
  ...(s.pretrain.restoreText ? textInputs(s) : {}),
  ...(s.pretrain.restoreText && seesSentence(s) ? sentenceInput(s) : {}),
});

/** volume [b c d h w], corrupted -> restored [b c d h w] */
export function restoreTile(x: Tensors, s: Settings): Tensors {
  const report = s.pretrain.restoreText ? reportOf(x, s) : null;
  return { restored: restore(x.volume!, report, backbone(s, false), s.pretrain).image };
}
