// What the k6 scripts share. By hand:  BASE_URL=http://127.0.0.1:PORT API_TOKEN=… k6 run scenarios/k6/retrieve_latency.js
// By the harness: `harness run load_k6_retrieve_latency`, which sets BASE_URL, EH_LOAD_KEY, EH_INGEST_KEY, EH_SCALE, EH_SEED,
// EH_CANARY_URL and EH_SUMMARY. Keys come in the environment only: `-e KEY=…` would show them in the list of processes.
import { check } from 'k6';
import exec from 'k6/execution';
import http from 'k6/http';
import { SharedArray } from 'k6/data';
import { Trend } from 'k6/metrics';

const TIMEOUT_S = 10;
const REACH_S = 3; // VUs are made beforehand for answers that take this long
const NOMINAL_MINUTE = 60;

function required(name, ...others) {
  const found = [name, ...others].map((one) => __ENV[one]).find((value) => value);
  if (!found) throw new Error(`${name} is not set: give it in the environment`);
  return found;
}

const BASE = required('BASE_URL').replace(/\/$/, '');
// Trap: three of the four scripts sent no credential and measured how fast 401 is. Without a key nothing starts here.
const READ_KEY = required('EH_LOAD_KEY', 'API_TOKEN');
const KEY_HEADER = __ENV.EH_KEY_HEADER || 'X-API-Key';
const SCALE = Number(__ENV.EH_SCALE || '1');
const SEED = Number(__ENV.EH_SEED || Date.now() % 9000000);
const held = new Trend('canary_held_ns');
const stageMs = new Trend('stage_ms');

export function number(name, fallback) {
  const value = Number(__ENV[name] || fallback);
  if (!(value > 0)) throw new Error(`${name}=${__ENV[name]} is not a number above zero`);
  return value;
}

export function seconds(name, fallback) {
  return number(name, fallback);
}

// --- scenarios -------------------------------------------------------------------------------------------------------
// Trap: closed loops (VUs with think time) slow down with the system and hide its stalls. Every scenario here is an arrival rate:
// what was "n VUs with 1 s of think time" arrives n times a second, whatever the answers do.
// Trap: a VU made during the run comes too late: its iteration is dropped. All VUs are made beforehand (maxVUs = preAllocatedVUs).

const SHAPES = {};

function arrivals(name, op, pieces) {
  SHAPES[name] = pieces;
  const peak = Math.max(...pieces.map((piece) => Math.max(piece[1], piece[2])));
  const vus = Math.ceil(peak * REACH_S) + 2;
  return { exec: name, tags: { op }, preAllocatedVUs: vus, maxVUs: vus, gracefulStop: `${TIMEOUT_S + 5}s`, timeUnit: '60s' };
}

function aMinute(ratePerS) {
  return Math.max(1, Math.round(ratePerS * SCALE * NOMINAL_MINUTE)); // k6 takes whole numbers only
}

// `name` is the scenario and the exported function that it runs.
// Trap: one script declared scenarios without `exec` and exported no default function, so that k6 refused it.
export function constant(name, op, ratePerS, durationS) {
  const rate = aMinute(ratePerS);
  const each = rate / NOMINAL_MINUTE;
  return { executor: 'constant-arrival-rate', rate, duration: `${durationS}s`, ...arrivals(name, op, [[durationS, each, each]]) };
}

// stages: [seconds, rate per second at its end]
export function ramping(name, op, startPerS, stages) {
  const rates = [startPerS, ...stages.map((stage) => stage[1])].map((rate) => (rate > 0 ? aMinute(rate) : 0));
  const pieces = stages.map((stage, n) => [stage[0], rates[n] / NOMINAL_MINUTE, rates[n + 1] / NOMINAL_MINUTE]);
  return {
    executor: 'ramping-arrival-rate',
    startRate: rates[0],
    stages: stages.map((stage, n) => ({ duration: `${stage[0]}s`, target: rates[n + 1] })),
    ...arrivals(name, op, pieces),
  };
}

// Trap: a threshold over a metric without samples passes in k6. The harness judges the same statements from the samples, where that
// is VACUOUS, and asks that both agree.
export function options(scenarios, thresholds) {
  const canaries = __ENV.EH_CANARY_URL
    ? { canary: { executor: 'constant-arrival-rate', exec: 'canary', rate: 20, timeUnit: '1s', duration: longest(scenarios), preAllocatedVUs: 40, maxVUs: 40, gracefulStop: '5s', tags: { op: 'canary' } } }
    : {};
  return {
    scenarios: { ...scenarios, ...canaries },
    thresholds: { ...thresholds, ...nothingDropped(scenarios) },
    // Trap: the tag `url` makes a time series of every address; memory grows with the run.
    systemTags: ['scenario', 'status', 'error_code'],
    summaryTrendStats: ['avg', 'min', 'med', 'max', 'p(90)', 'p(95)', 'p(99)', 'count'],
    noConnectionReuse: false,
  };
}

// By operation: a dropped canary says something of this machine, and makes the run uncertified instead of red.
function nothingDropped(scenarios) {
  return Object.fromEntries(Object.values(scenarios).map((scenario) => [`dropped_iterations{op:${scenario.tags.op}}`, ['count==0']]));
}

function longest(scenarios) {
  return `${Math.max(...Object.keys(scenarios).map((name) => SHAPES[name].reduce((sum, piece) => sum + piece[0], 0)))}s`;
}

// --- one iteration = one request --------------------------------------------------------------------------------------

// ms from the scenario's start to when iteration k was due: k6 starts it when the integral of the rate reaches k (constant), k + 1 (ramping).
function dueMs(name, k) {
  const pieces = SHAPES[name];
  if (pieces.length === 1 && pieces[0][1] === pieces[0][2]) return (k / pieces[0][1]) * 1000;
  let left = k + 1;
  let before = 0;
  for (const [length, first, last] of pieces) {
    const area = (length * (first + last)) / 2;
    if (left <= area) {
      const slope = (last - first) / length;
      const root = Math.sqrt(Math.max(0, first * first + 2 * slope * left));
      return (before + (Math.abs(slope) < 1e-9 ? left / first : (root - first) / slope)) * 1000;
    }
    left -= area;
    before += length;
  }
  return before * 1000;
}

// Trap: __ITER counts per VU, so ids made of it repeat; iterationInTest is unique in the scenario. Ids and due times are metadata:
// as tags each would be a time series of its own.
function begin(due) {
  const name = exec.scenario.name;
  const k = exec.scenario.iterationInTest;
  exec.vu.metrics.metadata.request = `${name}-${k}`;
  exec.vu.metrics.metadata.planned_ms = (exec.scenario.startTime + due(name, k)).toFixed(3);
  return k;
}

function parameters(key, more) {
  const headers = { [KEY_HEADER]: key, 'X-Request-ID': exec.vu.metrics.metadata.request, ...(more.headers || {}) };
  return { headers, timeout: `${TIMEOUT_S}s`, redirects: 0, tags: more.tags || {} };
}

// --- retrieve ----------------------------------------------------------------------------------------------------------

const WEIGHTS = { endpoint: 40, ae: 25, dose: 15, eligibility: 10, other: 10 };
const DECK = Object.keys(WEIGHTS).flatMap((intent) => Array(WEIGHTS[intent] / 5).fill(intent)); // 20 cards
const POOLS = {};
for (const intent of Object.keys(WEIGHTS)) {
  POOLS[intent] = new SharedArray(intent, () => open(`../requests/intent_${intent}.jsonl`).split('\n').filter((line) => line.trim()));
}

// Trap: one script read the answer's `data` as a list, another as data.documents: whatever came back, a check was undefined or passed.
// The answer is {results: [...], meta: {...}}: a non-empty list, or the check fails.
function resultsOf(response) {
  try {
    const results = response.json('results');
    return Array.isArray(results) ? results : [];
  } catch (_error) {
    return [];
  }
}

// `right` judges the answer beyond its results.
export function ask(more, right = () => true) {
  const k = begin(dueMs);
  const intent = DECK[(k * 7) % DECK.length]; // 7 and 20 have no common divisor: every 20 requests have the exact mix
  const body = POOLS[intent][(k + SEED) % POOLS[intent].length];
  const sent = more ? JSON.stringify({ ...JSON.parse(body), ...more }) : body;
  const response = http.post(`${BASE}/v1/retrieve`, sent, parameters(READ_KEY, { headers: { 'Content-Type': 'application/json' }, tags: { intent } }));
  check(response, { answered: (r) => r.status === 200 && resultsOf(r).length > 0 && right(r) });
  return response;
}

// The system's own timings of an answer, by stage. `sparse` and `dense` include the encoding of the question.
export function noteStages(response) {
  if (response.status !== 200) return;
  const timings = response.json('meta.timings_ms') || {};
  const stages = {
    bm25: timings.bm25,
    sparse: timings.sparse === undefined ? undefined : timings.sparse + (timings.sparse_encode || 0),
    dense: timings.dense === undefined ? undefined : timings.dense + (timings.dense_encode || 0),
    fusion: timings.fusion,
    rerank: timings.rerank,
  };
  for (const stage of Object.keys(stages)) {
    if (stages[stage] !== undefined) stageMs.add(stages[stage], { stage });
  }
}

// --- ingest ------------------------------------------------------------------------------------------------------------

const TEMPLATE = open('../../samples/corpus/pubmed/velotril-sleep.xml');

// Trap: ids were made of the iteration counter and deduplicated by doc_key, so that most ingests did nothing. Each payload here has a
// PMID of its own (of the run's seed and the scenario's counter) and an idempotency key of its own.
// This system takes a payload with 202 (durable, worked on later); the 207 of the source is its form for several items.
export function ingest() {
  const k = begin(dueMs);
  const key = `k6-${SEED}-${exec.vu.metrics.metadata.request}`;
  const pmid = String(30000000 + ((SEED + k * 7919) % 9000000));
  const payload = TEMPLATE.replace(/(<PMID[^>]*>)\d+(<\/PMID>)/, `$1${pmid}$2`).replace(/(<ArticleId IdType="pubmed">)\d+/, `$1${pmid}`);
  const headers = { 'Content-Type': 'application/octet-stream', 'Idempotency-Key': key };
  const response = http.post(`${BASE}/v1/ingest/pubmed`, payload, parameters(required('EH_INGEST_KEY', 'API_TOKEN'), { headers }));
  check(response, { accepted: (r) => r.status === 202 && r.json('replayed') === false && Boolean(r.json('job_id')) });
}

// --- the harness's canary, and what k6 says at the end -------------------------------------------------------------------

export function canary() {
  begin((_name, k) => k * 50);
  const response = http.get(__ENV.EH_CANARY_URL, { timeout: `${TIMEOUT_S}s` });
  held.add(Number(response.body || 0));
}

export function handleSummary(data) {
  if (__ENV.EH_SUMMARY) return { [__ENV.EH_SUMMARY]: JSON.stringify(data) };
  const lines = Object.keys(data.metrics).flatMap((name) =>
    Object.keys(data.metrics[name].thresholds || {}).map((text) => `${data.metrics[name].thresholds[text].ok ? 'ok  ' : 'FAIL'} ${name} ${text}\n`),
  );
  return { stdout: lines.join('') };
}
