import { runbook } from '../api.ts';
import { Markdown } from '../markdown.tsx';
import { useLoaded } from '../poll.ts';
import { Link } from '../router.tsx';

/** The entry of a code, or all of them by name. */
export function RunbookPage({ code }: { readonly code: string | undefined }) {
  const entries = useLoaded(runbook);
  if (entries === undefined) return <p class="awaited">Loading the runbook…</p>;
  if (code === undefined) {
    const names = Object.keys(entries);
    const codes = names.filter((name) => /^[A-Z]\w+$/.test(name) && !['Retention'].includes(name));
    return (
      <>
        <h1>Runbook</h1>
        {names
          .filter((name) => !codes.includes(name))
          .map((name) => (
            <section key={name} class="panel text">
              <h2>{name}</h2>
              <Markdown text={entries[name] ?? ''} />
            </section>
          ))}
        <section class="panel text">
          <h2>Codes</h2>
          <ul class="codes">
            {codes.map((name) => (
              <li key={name}>
                <Link to={`/runbook/${name}`}>{name}</Link>
              </li>
            ))}
          </ul>
        </section>
      </>
    );
  }
  const text = Object.hasOwn(entries, code) ? entries[code] : undefined;
  return (
    <>
      <p class="crumbs">
        <Link to="/runbook">Runbook</Link>
      </p>
      <h1>{code}</h1>
      {text === undefined ? (
        <p>The runbook has no such code: it is AWS’s own, or that of another version.</p>
      ) : (
        <section class="panel text">
          <Markdown text={text} />
        </section>
      )}
    </>
  );
}
