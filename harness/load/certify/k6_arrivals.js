// The k6 script of the certificate: k6 as it is run for a rate, with enough virtual users for the whole stall.
// A dropped iteration makes k6 itself fail (exit 99): that is its declaration that the figures are not those of the plan.
import http from 'k6/http';
import exec from 'k6/execution';

const env = __ENV;

export const options = {
  scenarios: {
    certify: {
      executor: 'constant-arrival-rate',
      rate: Number(env.EH_CERTIFY_RATE),
      timeUnit: '1s',
      duration: env.EH_CERTIFY_DURATION,
      preAllocatedVUs: Number(env.EH_CERTIFY_VUS),
      maxVUs: Number(env.EH_CERTIFY_VUS),
      gracefulStop: env.EH_CERTIFY_TIMEOUT,
    },
  },
  discardResponseBodies: true,
  summaryTrendStats: ['p(50)', 'p(90)', 'p(99)', 'p(99.9)', 'max', 'count'],
  thresholds: { dropped_iterations: ['count==0'] },
};

export default function () {
  http.get(env.EH_CERTIFY_URL, {
    headers: { 'X-Request-ID': `certify-${exec.scenario.iterationInTest}` },
    timeout: env.EH_CERTIFY_TIMEOUT,
  });
}

export function handleSummary(data) {
  return { [env.EH_CERTIFY_SUMMARY]: JSON.stringify(data.metrics) };
}
