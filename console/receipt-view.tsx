import type { Receipt } from '../core/api/receipt.ts';
import { Panel } from './parts.tsx';
import { dollars, duration, quantity } from './words.ts';

/** What it took and cost, beside what was expected. */
export function ReceiptView({ receipt }: { readonly receipt: Receipt }) {
  const { estimate, lines, steps, prices, endedAt, seconds, monthlyDollars } = receipt;
  const soFar = endedAt === null ? ' so far' : '';
  return (
    <Panel title="Receipt" aside={soFar === '' ? null : 'so far'}>
      <div class="figures">
        <Beside name="Time" actual={seconds} expected={estimate?.seconds ?? null} say={duration} />
        <Beside name="Price" actual={receipt.dollars} expected={estimate?.dollars ?? null} say={dollars} />
        <div>
          <span class="name">Kept, a month</span>
          <span class="value">{monthlyDollars === null ? 'not known' : dollars(monthlyDollars)}</span>
        </div>
      </div>
      {lines.length === 0 ? null : (
        <div class="scroll">
          <table class="list compact">
            <thead>
              <tr>
                <th scope="col">Paid for</th>
                <th scope="col" class="number">
                  Amount
                </th>
                <th scope="col" class="number">
                  Dollars
                </th>
              </tr>
            </thead>
            <tbody>
              {lines.map(({ kind, name, resource, quantity: amount, unit, dollars: price, because }) => (
                <tr key={`${kind} ${name} ${resource ?? ''}`} title={because}>
                  <th scope="row">
                    {name}
                    <div class="faint">{because}</div>
                  </th>
                  <td class="number">
                    {quantity(amount)} {unit}
                  </td>
                  <td class="number">{price === null ? 'not known' : dollars(price)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {steps.length === 0 ? null : (
        <details>
          <summary>Steps</summary>
          <table class="list compact">
            <thead>
              <tr>
                <th scope="col">Step</th>
                <th scope="col" class="number">
                  Time
                </th>
                <th scope="col" class="number">
                  Calls
                </th>
                <th scope="col" class="number">
                  Dollars
                </th>
              </tr>
            </thead>
            <tbody>
              {steps.map(({ name, seconds: taken, calls, dollars: price }) => (
                <tr key={name}>
                  <th scope="row">{name}</th>
                  <td class="number">{duration(taken)}</td>
                  <td class="number">{calls}</td>
                  <td class="number">{price === null ? '–' : dollars(price)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </details>
      )}
      <p class="faint source">
        List prices of {prices.region}, {prices.asOf}
        {prices.exact ? '' : '; not this region’s own'}. {prices.source}
      </p>
    </Panel>
  );
}

function Beside({
  name,
  actual,
  expected,
  say,
}: {
  readonly name: string;
  readonly actual: number;
  readonly expected: number | null;
  readonly say: (value: number) => string;
}) {
  const most = Math.max(actual, expected ?? 0) || 1;
  return (
    <div>
      <span class="name">{name}</span>
      <span class="value">{say(actual)}</span>
      {expected === null ? (
        <span class="faint">no estimate</span>
      ) : (
        <>
          <span class="faint">of about {say(expected)}</span>
          <span class="track" aria-hidden="true">
            <span class="expected" style={{ width: `${(100 * expected) / most}%` }} />
            <span class="actual" style={{ width: `${(100 * actual) / most}%` }} />
          </span>
        </>
      )}
    </div>
  );
}
