export interface PushClient {
  readonly source: string;
  readonly socket: string;
  /** The whole command that archives a file without the spooler; the file comes behind it. */
  readonly direct: readonly string[];
}

/**
 * A program for `archive_command`, in POSIX shell: it asks the spooler, in a few milliseconds, with the Perl that PostgreSQL's packages bring along. Where there is no answer (no spooler, no Perl, the
 * spooler died over it, or did not answer for ten minutes) it archives the file itself. It exits with 0 only if one of the two said that the file is durable.
 */
export function pushClientScript({ source, socket, direct }: PushClient): string {
  return `#!/bin/sh
# archive_command = '/where/this/file/is %p'. Made by 'holdfast wal client ${source}'.
[ $# -eq 1 ] || { echo "which file? archive_command = '$0 %p'" >&2; exit 2; }
case $1 in /*) file=$1 ;; *) file=$(pwd)/$1 || exit 3 ;; esac
perl -MSocket -e '
  $SIG{__DIE__} = sub { exit ${NO_ANSWER} };
  my ($socket, $source, $file) = @ARGV;
  exit ${NO_ANSWER} if $file =~ /\\n/;
  $SIG{ALRM} = sub { exit ${NO_ANSWER} };
  $SIG{PIPE} = "IGNORE";
  alarm ${PATIENCE_SECONDS};
  my $spooler;
  socket($spooler, PF_UNIX, SOCK_STREAM, 0) && connect($spooler, sockaddr_un($socket)) or exit ${NO_ANSWER};
  my $request = "push $source $file\\n";
  (syswrite($spooler, $request) || 0) == length $request or exit ${NO_ANSWER};
  my $answer = <$spooler>;
  defined $answer && $answer =~ /^(\\d{1,3}) (.*)\\n\\z/ or exit ${NO_ANSWER};
  print STDERR "$2\\n" if $1 != 0;
  exit($1 > 125 || $1 == ${NO_ANSWER} ? 125 : $1);
' ${quote(socket)} ${quote(source)} "$file"
code=$?
[ $code -le 125 ] && [ $code -ne ${NO_ANSWER} ] && exit $code
exec ${direct.map(quote).join(" ")} "$file"
`;
}

/** Between the two programs: nobody answered. No command of ours exits with it. */
const NO_ANSWER = 75;
const PATIENCE_SECONDS = 600;

function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
