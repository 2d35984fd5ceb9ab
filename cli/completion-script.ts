/**
 * Scripts for shells. Each hands the words as they are to `foundry complete --`, which answers with a line for each word that may come next,
 * a tab and what it is, and a last line that begins with a colon. Nothing that was typed is evaluated.
 */
export const completionScripts = {
  bash: `# foundry: completion for bash. In ~/.bashrc: eval "$(foundry completion bash)"
_foundry() {
  local value rest
  COMPREPLY=()
  while IFS=$'\\t' read -r value rest; do
    [[ $value == :* || $value != "\${COMP_WORDS[COMP_CWORD]}"* ]] || COMPREPLY+=("$value")
  done < <(foundry complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
# Where foundry offers nothing, files are.
complete -o default -F _foundry foundry
`,
  zsh: `#compdef foundry
# foundry: completion for zsh. In a directory of fpath as _foundry, or in ~/.zshrc: eval "$(foundry completion zsh)"
_foundry() {
  local line
  local -a found
  for line in "\${(@f)$(foundry complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    [[ $line == :* || -z $line ]] || found+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
  done
  if (( $#found )); then
    _describe -V foundry found
  else
    _files
  fi
}
if [[ $funcstack[1] == _foundry ]]; then
  _foundry "$@"
else
  compdef _foundry foundry
fi
`,
  fish: `# foundry: completion for fish. foundry completion fish > ~/.config/fish/completions/foundry.fish
function __foundry_complete
    set -l words (commandline -opc) (commandline -ct)
    foundry complete -- $words[2..-1] 2>/dev/null | string match -v ':*'
end
complete -c foundry -f -a '(__foundry_complete)'
complete -c foundry -n '__fish_seen_subcommand_from validate plan build subscribe init' -F
`,
} as const;

export const shells = Object.keys(completionScripts) as (keyof typeof completionScripts)[];
