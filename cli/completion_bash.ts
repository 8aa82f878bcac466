/**
 * Completion for bash. The line is split here, not by readline: that breaks words at colons, which ports have. What is offered
 * is cut accordingly at the end.
 */
import type { Kind, Shape } from './shape.js';

const kindWord = (kind: Kind): string => [kind.what, ...kind.words].join(' ');

export function bashScript(all: readonly Shape[]): string {
  const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
  const cases = (of: (shape: Shape) => string): string => all.map((shape) => `    ${quote(shape.path)}) ${of(shape)} ;;`).join('\n');
  const values = all.flatMap((shape) => shape.options.filter((o) => o.kind !== undefined).map((o) =>
    `    ${o.flags.map((flag) => quote(`${shape.path} ${flag}`)).join('|')}) kind=${quote(kindWord(o.kind!))} ;;`)).join('\n');
  const shapes = cases(({ words, options, args }) => [
    `words=${quote(words.map((w) => w.name).join(' '))}`, `options=${quote(options.flatMap((o) => o.flags).join(' '))}`,
    `args=(${args.map((a) => quote(kindWord(a.kind))).join(' ')})`, `many=${args.at(-1)?.many ? 1 : 0}`,
  ].join(' '));
  return `# framekeep's completion for bash. For one shell:  source <(framekeep completion bash)
# For all: framekeep completion bash > /usr/share/bash-completion/completions/framekeep

# What an option's value is: sets kind, empty where it takes none.
_framekeep_value() {
  kind=
  case $1\\ $2 in
${values}
  esac
}

# The words that may follow, the options, and the arguments' kinds, one a line.
_framekeep_shape() {
  case $1 in
${shapes}
  esac
}

_framekeep() {
  local line=\${COMP_LINE:0:COMP_POINT} cur path= kind= option= name= words options w given=0 many=0 i
  local -a args said
  COMPREPLY=()
  read -ra said <<< "$line"
  [[ $line == *[[:space:]] ]] && said+=('')
  cur=\${said[\${#said[@]}-1]}
  _framekeep_shape ''
  for ((i = 1; i < \${#said[@]} - 1; i++)); do
    w=\${said[i]}
    if [[ -n $option ]]; then
      [[ $option == -n || $option == --name ]] && name=$w
      option=
    elif [[ $w == --*=* ]]; then
      [[ $w == --name=* ]] && name=\${w#*=}
    elif [[ $w == -* ]]; then
      _framekeep_value "$path" "$w"
      [[ -n $kind ]] && option=$w
    elif [[ " $words " == *" $w "* ]]; then
      path="\${path:+$path }$w"
      _framekeep_shape "$path"
    else
      given=$((given + 1))
      words=
    fi
  done
  if [[ -z $option && $cur == --*=* ]]; then
    option=\${cur%%=*} cur=\${cur#*=}
  fi
  if [[ -n $option ]]; then
    _framekeep_value "$path" "$option"
  elif [[ $cur == -* ]]; then
    kind="words $options"
  else
    if ((given < \${#args[@]})); then kind=\${args[given]}
    elif ((many)); then kind=\${args[\${#args[@]}-1]}
    else kind=
    fi
    [[ -n $words ]] && kind="\${kind:-words} $words"
  fi
  local more=\${kind#* }
  [[ $kind == *' '* ]] || more=
  case \${kind%% *} in
    file) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur")) ;;
    switch) more+=" $(framekeep completion switches 2>/dev/null)" ;;
    port) more+=" $(framekeep completion ports \${name:+-n "$name"} 2>/dev/null)" ;;
    spec)
      case $cur in
        replay:*) COMPREPLY=($(compgen -f -P replay: -- "\${cur#*:}")) more= ;;
        xdp:*|cap:*) more=" \${cur%%:*}:$(printf '%s\\n' /sys/class/net/* | sed 's,.*/,,' | paste -sd' ' | sed "s/ / \${cur%%:*}:/g")" ;;
        *) compopt -o nospace 2>/dev/null ;;
      esac ;;
  esac
  COMPREPLY+=($(compgen -W "$more" -- "$cur"))
  # readline replaces what follows the last colon only
  if [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then
    local before=\${cur%"\${cur##*:}"}
    COMPREPLY=("\${COMPREPLY[@]#"$before"}")
  fi
}
complete -F _framekeep framekeep
`;
}
