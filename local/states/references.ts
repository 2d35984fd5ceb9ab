/**
 * What a JSONata expression reads, found in its syntax tree without running it. Step Functions evaluates with no context
 * item, and refuses a definition whose expression would read one.
 * @see https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html ("You can't use … at the top level")
 */

export interface References {
  /** Names read from a context item that is not there, with `$` and `$$`. */
  topLevel: Set<string>;
  /** Members of `$states`. */
  states: Set<string>;
  /** Whether `$eval` is called or handed around. */
  evaluates: boolean;
}

interface Node {
  type?: string;
  value?: unknown;
  steps?: Node[];
  [member: string]: unknown;
}

export function findReferences(tree: unknown): References {
  const found: References = { topLevel: new Set(), states: new Set(), evaluates: false };
  visit(tree as Node, false, found);
  return found;
}

/** Members of a node that are evaluated with the node's own value as context item. */
const WITHIN = ['predicate', 'stages', 'group', 'terms', 'pattern', 'update', 'delete', 'expr'];

function visit(node: Node, hasContext: boolean, found: References): void {
  if (node.type === 'variable') variable(String(node.value), hasContext, found);
  if ((node.type === 'name' || node.type === 'wildcard' || node.type === 'descendant') && !hasContext) {
    found.topLevel.add(String(node.value));
  }
  if (node.type === 'path' && Array.isArray(node.steps)) {
    const [first, second] = node.steps;
    if (first?.type === 'variable' && first.value === 'states' && second?.type === 'name') {
      found.states.add(String(second.value));
    }
    for (const [i, step] of node.steps.entries()) visit(step, hasContext || i > 0, found);
  }
  for (const [member, child] of Object.entries(node)) {
    if (member === 'steps' && node.type === 'path') continue;
    // The left side of `:=` names a variable, and a lambda's arguments name its parameters: neither is read.
    if ((member === 'lhs' && node.type === 'bind') || (member === 'arguments' && node.type === 'lambda'))
      continue;
    descend(child, hasContext || WITHIN.includes(member), found);
  }
}

function descend(child: unknown, hasContext: boolean, found: References): void {
  if (Array.isArray(child)) for (const item of child) descend(item, hasContext, found);
  else if (child !== null && typeof child === 'object' && !(child instanceof RegExp))
    visit(child as Node, hasContext, found);
}

function variable(name: string, hasContext: boolean, found: References): void {
  if (name === 'eval') found.evaluates = true;
  // `$` is the context item; `$$` the input of the whole expression, which never exists.
  if (name === '$') found.topLevel.add('$$');
  if (name === '' && !hasContext) found.topLevel.add('$');
}
