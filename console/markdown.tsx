import type { ComponentChildren } from 'preact';

/** The Markdown of the runbook: paragraphs, lists, indented code, and marks within a line. It becomes nodes, never HTML. */
export function Markdown({ text }: { readonly text: string }) {
  return (
    <div class="prose">
      {text.split(/\n{2,}/).map((block, index) => (
        <Block key={index} text={block} />
      ))}
    </div>
  );
}

function Block({ text }: { readonly text: string }) {
  if (/^ {4}/.test(text)) return <pre>{text.replace(/^ {4}/gm, '')}</pre>;
  if (text.startsWith('- ')) {
    return (
      <ul>
        {text.split(/\n(?=- )/).map((item) => (
          <li key={item}>{marked(item.slice(2))}</li>
        ))}
      </ul>
    );
  }
  const heading = /^#+ (.*)$/.exec(text)?.[1];
  return heading === undefined ? <p>{marked(text)}</p> : <h3>{heading}</h3>;
}

/** `code`, **bold**, _emphasis_ and [links](…); a link within the repository leads nowhere here and is its text. */
function marked(text: string): ComponentChildren[] {
  const marks = /`([^`]+)`|\*\*([^*]+)\*\*|\b_([^_]+)_\b|\[([^\]]+)\]\(([^)\s]+)\)/g;
  const nodes: ComponentChildren[] = [];
  let done = 0;
  for (const mark of text.matchAll(marks)) {
    nodes.push(text.slice(done, mark.index));
    done = mark.index + mark[0].length;
    const [, code, bold, emphasis, label, target = ''] = mark;
    if (code !== undefined) nodes.push(<code>{code}</code>);
    else if (bold !== undefined) nodes.push(<strong>{bold}</strong>);
    else if (emphasis !== undefined) nodes.push(<em>{emphasis}</em>);
    else if (target.startsWith('https://')) {
      nodes.push(
        <a href={target} target="_blank" rel="noreferrer noopener">
          {label}
        </a>,
      );
    } else nodes.push(label);
  }
  nodes.push(text.slice(done));
  return nodes;
}
