// T3D: the model of this project. Entries: `logits` and `predict` for inference, `segment` and `classify` for fine-tuning,
// `pretrain` for pairs of study and report with what shows how it learns, and the features of the two towers.
import { diceCELoss, f32, i32, model, region, scope, sigmoid, type Tensor } from '../../dsl/index.ts';
import { backbone } from './backbone.ts';
import { findings, findingsLoss, studyFeatures, studyInput } from './classify.ts';
import { dialects } from './dialects.ts';
import { fineTuning, frozenGroups, optimizer } from './fine-tuning.ts';
import { matchSections, matchSectionsInputs } from './match-sections.ts';
import {
  diagnose,
  diagnoseInputs,
  ground,
  groundInputs,
  pretrain,
  pretrainInputs,
  restoreInputs,
  restoreTile,
} from './pretrain.ts';
import {
  contrastMoments,
  contrastMomentsInputs,
  embedReport,
  embedReportInputs,
  embedStudy,
  embedStudyInputs,
  scorePairs,
  scorePairsInputs,
} from './retrieve.ts';
import { check, checkTrainable, DEFAULTS, PRESETS, preprocess, type Settings } from './settings.ts';
import { lowerLayers, seesSentence, textPool, upperLayers } from './text.ts';
import { checkText, frozenLayers } from './text-settings.ts';
import { outBlock } from './unetr-blocks.ts';
import { channelsLast } from './vision.ts';

export type { Settings } from './settings.ts';

/** volume [b c d h w] -> logits [b d h w c], c = outChannels. `training` turns dropout and stochastic depth on. */
function network(volume: Tensor, s: Settings, training: boolean): Tensor {
  const x = channelsLast(volume);
  const net = backbone(s, training);
  const features = net.decode(x, net.encode(x));
  return scope('out', () => outBlock(features, s.outChannels));
}

export default model<Settings>({
  name: 't3d',
  settings: DEFAULTS,
  presets: PRESETS,
  dialects,
  build(s) {
    check(s);
    const [d, h, w] = s.size;
    const volume = f32({ b: s.batch, c: s.inChannels, d, h, w });
    const label = i32({ b: s.batch, c: 1, d, h, w });
    const tokens = { b: s.batch, t: s.textTokens };
    const frozen = frozenLayers(s);
    const encoded: Settings = frozen === null ? { ...s, textScope: 'report' } : s;
    const training = {
      loss: 'loss',
      optimizer: optimizer(s),
      schedule: { kind: s.schedule, warmup: s.warmup, total: s.steps },
      ...(s.clip > 0 ? { clip: s.clip } : {}),
      ...(s.guard ? { guard: true } : {}),
    };
    return {
      preprocess: { ...preprocess(s) },
      defaultEntries: ['logits', 'predict', 'segment'],
      entries: {
        /** volume [b c d h w], 0..1 -> logits [b k d h w] */
        logits: {
          inputs: { volume },
          run: ({ volume: x }) =>
            region('t3d', () => ({ logits: network(x!, s, false).rename({ c: 'k' }).permute('b k d h w') })),
        },
        /** volume [b c d h w], 0..1 -> labels [b d h w]: the class of the largest logit, the lowest on a tie */
        predict: {
          inputs: { volume },
          run: ({ volume: x }) => region('t3d', () => ({ labels: network(x!, s, false).argmax('c') })),
        },
        /** volume [b c d h w], 0..1 -> tokens [b n c], the normalised map that pre-training compares (SwinUNETR's at 1/16, c = 8 f;
         *  n in the order d h w), and their mean pooled [b c] */
        encodeImage: {
          inputs: { volume },
          run: ({ volume: x }) =>
            region('t3d', () => {
              const net = backbone(s, false);
              const v = net.tokens(net.encode(channelsLast(x!))).merge('d h w', 'n');
              return { tokens: v, pooled: v.mean('n') };
            }),
        },
        /** input_ids and attention_mask [b t] (1 for tokens, 0 for padding) -> last_hidden_state [b t c], pooled [b c]; where layers
         *  are frozen, text_hidden [b t c] too: what the training entries then take in place of input_ids, and with the scope that
         *  they have (sentence_ids [b t] where tokens see their own sentence alone) */
        encodeText: {
          inputs: {
            input_ids: i32(tokens),
            attention_mask: i32(tokens),
            ...(seesSentence(encoded) ? { sentence_ids: i32(tokens) } : {}),
          },
          run(x) {
            checkText(s.text, s.textTokens);
            return scope('text', () => {
              const hidden = lowerLayers(x, encoded, frozen ?? 0);
              const last = upperLayers(hidden, x, encoded, frozen ?? 0);
              const out = { last_hidden_state: last, pooled: textPool(last, x.attention_mask!, s.text) };
              return frozen === null ? out : { ...out, text_hidden: hidden };
            });
          },
        },
        /** volume [b c d h w] and label [b 1 d h w], class indices -> loss: Dice + cross-entropy (MONAI's DiceCELoss) */
        segment: {
          inputs: { volume, label },
          ...training,
          ...fineTuning(s, 'segment'),
          run({ volume: x, label: y }) {
            checkTrainable(s);
            return region('t3d', () => ({
              loss: diceCELoss(network(x!, s, true), y!.squeeze('c'), {
                batch: s.diceBatch,
                includeBackground: s.diceBackground,
                lambdaDice: s.lambdaDice,
                lambdaCE: s.lambdaCE,
                weightCE: s.weightCE,
              }),
            }));
          },
        },
        /** Pre-training: tiles [b k c d h w] of whole studies, tiles_corrupt and tiles_clean [b r c d h w], corrupt_mask [b r d h w]
         *  (1 where corrupted), input_ids and attention_mask, sentence_ids [b t] (0: in no sentence, else its number from 1),
         *  pair_mask [b b2] (1 where study b and report b2 may be told apart; a study's own report always may) -> loss, tcl, tir, and
         *  accuracy: the part of the studies whose own report scores highest. A method has the inputs that it needs, and so have the
         *  options: lambdaView tiles_b, another view of each study; counterfactuals counter_ids, counter_mask and
         *  counter_sentence_ids [b f t], false reports; mask 'attended' restored_tile and asked_sentence [b r] (from 0) in place of
         *  corrupt_mask, tiles_corrupt then being what is put in place of what is corrupted. */
        pretrain: {
          inputs: pretrainInputs(s),
          ...training,
          ...frozenGroups(s),
          run(x) {
            checkTrainable(s);
            return region('t3d', () => pretrain(x, s));
          },
        },
        /** The text tower alone: findings and impressions, their tokens and sentences [b t] each, pair_mask [b b2] -> loss, accuracy:
         *  the part of the reports whose impression finds its findings */
        matchSections: {
          inputs: matchSectionsInputs(s),
          ...training,
          run(x) {
            const { loss, accuracy } = matchSections(x, s);
            return { loss, accuracy };
          },
        },
        /** The same inputs but those of options, without dropout -> tcl, tir, accuracy, grad_tokens: the norm of the contrast's gradient by the image */
        diagnose: { inputs: diagnoseInputs(s), run: (x) => region('t3d', () => diagnose(x, s)) },
        /** tiles, the report's tokens and sentences -> attention [b s k n]: where each sentence looks in its own study */
        ground: { inputs: groundInputs(s), run: (x) => region('t3d', () => ground(x, s)) },
        /** volume [b c d h w], corrupted, and the report's tokens (and sentences, where tokens see their own alone) -> restored
         *  [b c d h w] */
        restore: { inputs: restoreInputs(s), run: (x) => region('t3d', () => restoreTile(x, s)) },
        /** tiles [b k c d h w] -> study [b n c] or, where the method pools, [b c]: what an index keeps of it */
        embedStudy: { inputs: embedStudyInputs(s), run: (x) => region('t3d', () => embedStudy(x, s)) },
        /** input_ids, attention_mask, sentence_ids [b t] -> query and sentence [b s c], valid [b s]: what an index keeps of a report */
        embedReport: { inputs: embedReportInputs(s), run: (x) => region('t3d', () => embedReport(x, s)) },
        /** What these two give, and present [b] -> count, mean [c] and spread [c] of what is normalised before it is compared */
        contrastMoments: { inputs: contrastMomentsInputs(s), run: (x) => region('t3d', () => contrastMoments(x, s)) },
        /** The same with the means and variances -> scores [b b2] of study b and report b2, pre-training's logits */
        scorePairs: { inputs: scorePairsInputs(s), run: (x) => region('t3d', () => scorePairs(x, s)) },
        /** tiles [b k c d h w] of whole studies -> pooled [b c]: the mean of their tokens and their largest values */
        encodeStudy: {
          inputs: studyInput(s),
          run: ({ tiles }) => region('t3d', () => ({ pooled: studyFeatures(tiles!, s, false) })),
        },
        /** tiles [b k c d h w] -> scores [b f]: the probability of each finding */
        scores: {
          inputs: studyInput(s),
          run: ({ tiles }) => region('t3d', () => ({ scores: sigmoid(findings(tiles!, s, false)) })),
        },
        /** tiles [b k c d h w] and target [b f] (1, 0, or below 0 where unknown) -> loss: binary cross-entropy */
        classify: {
          inputs: { ...studyInput(s), target: f32({ b: s.batch, f: s.findings }) },
          ...training,
          ...fineTuning(s, 'classify'),
          run({ tiles, target }) {
            checkTrainable(s);
            return region('t3d', () => ({ loss: findingsLoss(findings(tiles!, s, true), target!) }));
          },
        },
      },
    };
  },
});
