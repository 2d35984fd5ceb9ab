import { Component, type ComponentChildren } from 'preact';

interface Props {
  readonly children: ComponentChildren;
}

/** Keeps the rest of the console when a page cannot be drawn, as when the API is of another version. */
export class Boundary extends Component<Props, { readonly error?: string }> {
  static override getDerivedStateFromError(error: unknown) {
    return { error: error instanceof Error ? error.message : String(error) };
  }

  override render() {
    const { error } = this.state;
    if (error === undefined) return this.props.children;
    return (
      <div class="problem" role="alert">
        <p>
          <strong>This page could not be shown.</strong> {error}
        </p>
        <p class="remedy">
          Load it again. If that does not help, the API may be of another version than the console: deploy
          both from the same one.
        </p>
      </div>
    );
  }
}
