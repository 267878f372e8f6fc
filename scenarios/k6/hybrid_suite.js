// Hybrid suite, the part that PART names (one after the other: at once they would be one load of their sum):
//   hybrid  20/s for 3 min (20 VUs in the source), P95 < 500 ms, and the stages: BM25 100, SPLADE 150, dense 50, fusion 10 ms
//   rerank  40/s for 3 min, P95 < 650 ms, rerank stage 150 ms
//   stress  50 -> 100 -> 200 -> 50/s in steps of 2 min, P95 < 750 ms
//   soak    10/s for 24 h, P95 < 600 ms
// Each: checks > 0.98. Not judged: the cache hit rate > 0.4 of the source, because an answer does not say what came from the cache.
// Knobs: HYBRID_RATE, HYBRID_DURATION_S, RERANK_RATE, RERANK_DURATION_S, STRESS_ARRIVAL, STRESS_STEP_S, SOAK_ARRIVAL, SOAK_DURATION_S, TOP_K.
import { ask, constant, noteStages, number, options as made, ramping, seconds } from './lib.js';

export { canary, handleSummary } from './lib.js';

const TOP_K = number('TOP_K', 20);
const PARTS = {
  hybrid: () => [
    constant('hybrid', 'hybrid', number('HYBRID_RATE', 20), seconds('HYBRID_DURATION_S', 180)),
    500,
    { 'stage_ms{stage:bm25}': ['p(95)<100'], 'stage_ms{stage:sparse}': ['p(95)<150'], 'stage_ms{stage:dense}': ['p(95)<50'], 'stage_ms{stage:fusion}': ['p(95)<10'] },
  ],
  rerank: () => [
    constant('rerank', 'rerank', number('RERANK_RATE', 40), seconds('RERANK_DURATION_S', 180)),
    650,
    { 'stage_ms{stage:rerank}': ['p(95)<150'] },
  ],
  stress: () => [stress(number('STRESS_ARRIVAL', 50), seconds('STRESS_STEP_S', 120)), 750, {}],
  soak: () => [constant('soak', 'soak', number('SOAK_ARRIVAL', 10), seconds('SOAK_DURATION_S', 86400)), 600, {}],
};

function stress(start, stepS) {
  return ramping('stress', 'stress', start, [[stepS, start], [stepS, 2 * start], [stepS, 4 * start], [stepS, start]]);
}

const PART = __ENV.PART || 'hybrid';
if (!PARTS[PART]) throw new Error(`PART=${PART} is not one of ${Object.keys(PARTS).join(', ')}`);
const [scenario, limitMs, stages] = PARTS[PART]();

export const options = made(
  { [PART]: scenario },
  { [`http_req_duration{op:${PART}}`]: [`p(95)<${limitMs}`], [`checks{op:${PART}}`]: ['rate>0.98'], ...stages },
);

export function hybrid() {
  noteStages(ask({ top_k: TOP_K }));
}

export function rerank() {
  // An answer that was not reranked (overload mode, no answer in time) is fast: it does not count as one.
  noteStages(ask({ top_k: TOP_K, rerank: true }, (response) => response.json('meta.timings_ms.rerank') > 0 && !response.json('meta.degraded')));
}

export function stress_() {
  ask({ top_k: TOP_K });
}

export { stress_ as stress };

export function soak() {
  ask({ top_k: TOP_K });
}
