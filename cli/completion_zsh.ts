/** Completion for zsh, with what each word and option is for. */
import type { Kind, Shape } from './shape.js';

export function zshScript(all: readonly Shape[]): string {
  const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
  /** `name:what it is for`, as _describe wants it. */
  const described = (name: string, what: string): string => quote(`${name.replaceAll(':', '\\:')}:${what.replaceAll('\n', ' ')}`);
  const kindWord = (kind: Kind): string => quote([kind.what, ...kind.words].join(' '));
  const values = all.flatMap((shape) => shape.options.filter((o) => o.kind !== undefined).map((o) =>
    `    ${o.flags.map((flag) => quote(`${shape.path} ${flag}`)).join('|')}) kind=${kindWord(o.kind!)} ;;`)).join('\n');
  const cases = all.map((s) => `    ${quote(s.path)})
      verbs=(${s.words.map((w) => described(w.name, w.summary)).join(' ')})
      options=(${s.options.flatMap((o) => o.flags.map((flag) => described(flag, o.help))).join(' ')})
      args=(${s.args.map((a) => kindWord(a.kind)).join(' ')}) many=${s.args.at(-1)?.many ? 1 : 0} ;;`).join('\n');
  return `#compdef framekeep
# framekeep's completion for zsh. For one shell:  source <(framekeep completion zsh)
# For all: framekeep completion zsh > /usr/share/zsh/vendor-completions/_framekeep

_framekeep_value() {
  kind=
  case "$1 $2" in
${values}
  esac
}

_framekeep_shape() {
  case "$1" in
${cases}
  esac
}

_framekeep() {
  local place= kind= option= name= w many=0 given=0 i cur
  local -a verbs options args found
  _framekeep_shape ''
  for ((i = 2; i < CURRENT; i++)); do
    w=$words[i]
    if [[ -n $option ]]; then
      [[ $option == -n || $option == --name ]] && name=$w
      option=
    elif [[ $w == --*=* ]]; then
      [[ $w == --name=* ]] && name=\${w#*=}
    elif [[ $w == -* ]]; then
      _framekeep_value "$place" "$w"
      [[ -n $kind ]] && option=$w
    elif (( \${verbs[(I)$w:*]} )); then
      place="\${place:+$place }$w"
      _framekeep_shape "$place"
    else
      (( given++ ))
      verbs=()
    fi
  done
  cur=$words[CURRENT]
  if [[ -z $option && $cur == --*=* ]]; then
    option=\${cur%%=*}
    compset -P '*='
  fi
  if [[ -n $option ]]; then
    _framekeep_value "$place" "$option"
  elif [[ $cur == -* ]]; then
    _describe -o option options
    return
  else
    if (( given < $#args )); then kind=$args[given+1]
    elif (( many )); then kind=$args[-1]
    else kind=
    fi
    (( $#verbs )) && _describe command verbs
  fi
  local -a offered
  offered=(\${=\${kind#* }})
  [[ $kind == *' '* ]] || offered=()
  case \${kind%% *} in
    file) (( $#offered )) && compadd -a offered; _files ;;
    switch) found=(\${(f)"$(framekeep completion switches 2>/dev/null)"}); compadd -a found ;;
    port) found=(\${(f)"$(framekeep completion ports \${name:+-n} \${name:+$name} 2>/dev/null)"}); compadd -a found ;;
    spec)
      case $cur in
        replay:*) compset -P 'replay:'; _files ;;
        xdp:*|cap:*) compset -P '*:'; found=(/sys/class/net/*(N:t)); compadd -a found ;;
        *) compadd -S '' -a offered ;;
      esac ;;
    *) (( $#offered )) && compadd -a offered ;;
  esac
}
# Read as a file of $fpath, it is the function's own text; otherwise it defines it.
if [[ $funcstack[1] == _framekeep ]]; then _framekeep "$@"; else compdef _framekeep framekeep; fi
`;
}
