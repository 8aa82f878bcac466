/** Completion for fish, with what each word and option is for. */
import type { Kind, Shape } from './shape.js';

export function fishScript(all: readonly Shape[]): string {
  const quote = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'").replaceAll('\n', ' ')}'`;
  const takers = all.flatMap((shape) => shape.options.filter((o) => o.kind !== undefined).flatMap((o) => o.flags.map((flag) => quote(`${shape.path} ${flag}`)))).join(' ');
  const paths = all.filter((shape) => shape.path !== '').map((shape) => quote(shape.path)).join(' ');
  const lines: string[] = [];
  for (const shape of all) {
    const here = `complete -c framekeep -n ${quote(`__framekeep_at ${quote(shape.path)}`)}`;
    for (const { name, summary } of shape.words) lines.push(`complete -c framekeep -n ${quote(`__framekeep_at ${quote(shape.path)} 0`)} -a ${quote(name)} -d ${quote(summary)}`);
    shape.args.forEach((a, i) => {
      const last = i === shape.args.length - 1 && a.many;
      const offer = offered(a.kind);
      if (offer !== '') lines.push(`complete -c framekeep -n ${quote(`__framekeep_at ${quote(shape.path)} ${i}${last ? ' more' : ''}`)}${offer}`);
    });
    for (const o of shape.options) {
      const flags = o.flags.map((flag) => flag.startsWith('--') ? ` -l ${flag.slice(2)}` : ` -s ${flag.slice(1)}`).join('');
      lines.push(`${here}${flags}${o.kind === undefined ? '' : ` -r${offered(o.kind)}`} -d ${quote(o.help)}`);
    }
  }
  return `# framekeep's completion for fish. For one shell:  framekeep completion fish | source
# For all: framekeep completion fish > /usr/share/fish/vendor_completions.d/framekeep.fish

set -g __framekeep_takers ${takers}
set -g __framekeep_paths ${paths}

# Where the line stands: sets __framekeep_path, __framekeep_given (arguments), __framekeep_name (of the switch).
function __framekeep_walk
    set -g __framekeep_path ''
    set -g __framekeep_given 0
    set -g __framekeep_name
    set -l option ''
    for w in (commandline -opc)[2..-1]
        if test -n "$option"
            contains -- $option -n --name; and set -g __framekeep_name $w
            set option ''
        else if string match -q -- '-*' $w
            string match -q -- '*=*' $w; and continue
            contains -- "$__framekeep_path $w" $__framekeep_takers; and set option $w
        else
            set -l longer (string trim -- "$__framekeep_path $w")
            if test $__framekeep_given -eq 0; and contains -- $longer $__framekeep_paths
                set -g __framekeep_path $longer
            else
                set -g __framekeep_given (math $__framekeep_given + 1)
            end
        end
    end
end

# Whether the line is in this command, and, if it is said, before this argument.
function __framekeep_at
    __framekeep_walk
    test "$__framekeep_path" = "$argv[1]"; or return 1
    set -q argv[2]; or return 0
    test $__framekeep_given -eq $argv[2]; and return 0
    set -q argv[3]; and test $__framekeep_given -ge $argv[2]
end

function __framekeep_ports
    __framekeep_walk
    if set -q __framekeep_name[1]
        framekeep completion ports -n $__framekeep_name 2>/dev/null
    else
        framekeep completion ports 2>/dev/null
    end
end

function __framekeep_specs
    printf '%s\\n' ${all.flatMap((s) => s.args).find((a) => a.kind.what === 'spec')?.kind.words.join(' ') ?? ''}
    for interface in (path basename /sys/class/net/* 2>/dev/null; or ls /sys/class/net)
        printf '%s\\n' xdp:$interface cap:$interface
    end
end

complete -c framekeep -f
${lines.join('\n')}
`;

  function offered(kind: Kind): string {
    switch (kind.what) {
      case 'words': return ` -f -a ${quote(kind.words.join(' '))}`;
      case 'file': return ` -F${kind.words.length > 0 ? ` -a ${quote(kind.words.join(' '))}` : ''}`;
      case 'switch': return ` -f -a '(framekeep completion switches 2>/dev/null)'`;
      case 'port': return ` -f -a '(__framekeep_ports)'`;
      case 'spec': return ` -f -a '(__framekeep_specs)'`;
      case 'any': return '';
    }
  }
}
