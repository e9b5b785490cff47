# Places and removes the files of a change as place_files in step.sh does it one by one. Thousands of files
# would take a dozen programs each; perl is an essential package, and a host without it takes longer.
#
#   perl place.pl RUN CHANGE SCRATCH TRUSTED
#
# RUN/CHANGE and SCRATCH are as in step.sh; SCRATCH/seed_paths lists the files that are an application's as
# soon as they exist, SCRATCH/rights MODE, OWNER and PATH of folders below TRUSTED that get others than usual
# when they are made. No link is followed there, since containers may write to it.
use strict;
use warnings;
use Fcntl qw(:DEFAULT :mode);

my ($run, $change, $scratch, $trusted) = @ARGV;
$| = 1;
# No program that is started here gets to know it.
my $mark = delete $ENV{MARK} // '';

# As in step.sh.
sub record {
    my ($kind, $text) = @_;
    print "$mark$kind: $text\n";
}

sub fail {
    record('error', $_[0]);
    exit 1;
}

# The lines of a file; none where there is no such file.
sub lines_of {
    open(my $file, '<', $_[0]) or return;
    my @lines = <$file>;
    chomp @lines;
    return @lines;
}

my %seeds = map { $_ => 1 } lines_of("$scratch/seed_paths");
# Numbers of `user:group`.
my %ids;

sub ids_of {
    my ($owner) = @_;
    $ids{$owner} ||= do {
        my ($user, $group) = split /:/, $owner;
        [$user =~ /^[0-9]+$/ ? $user : scalar getpwnam($user), $group =~ /^[0-9]+$/ ? $group : scalar getgrnam($group)];
    };
    my @numbers = @{ $ids{$owner} };
    fail("the host has no owner $owner") if grep { !defined } @numbers;
    return @numbers;
}

# Makes a folder and those above it.
sub make {
    my ($folder) = @_;
    return 1 if $folder eq '' || -d $folder;
    return 0 unless make($folder =~ m{^(.*)/[^/]+$} ? $1 : '');
    return mkdir($folder) || -d $folder;
}

# Mode and owner that folders get, by their paths from $trusted on.
my %rights;
for (lines_of("$scratch/rights")) {
    my ($mode, $owner, $path) = split /\t/, $_, 3;
    $rights{$path} ||= [$mode, $owner];
}

# The folder that we are in. Renaming it changes nothing for us.
my $here = '';

# Makes the folder of a path where it is missing, and changes into it.
sub enter {
    my $folder = $_[0] =~ m{^(.+)/} ? $1 : '/';
    return 1 if $folder eq $here;
    $here = '';
    if ($trusted ne '' && index("$folder/", "$trusted/") == 0) {
        make($trusted) && chdir($trusted) or return 0;
        my $way = '';
        for my $part (grep { $_ ne '' } split m{/}, substr($folder, length $trusted)) {
            $way .= $way eq '' ? $part : "/$part";
            my $rights = $rights{$way};
            # Closed until it is given away.
            my $is_made = mkdir $part, $rights ? 0700 : 0777;
            my @seen = lstat $part or return 0;
            S_ISDIR($seen[2]) && chdir($part) or return 0;
            # It may have become a link just now.
            my @now = stat '.';
            return 0 unless @now && $now[0] == $seen[0] && $now[1] == $seen[1];
            next unless $is_made && $rights;
            chown(ids_of($rights->[1]), '.') && chmod(oct $rights->[0], '.') or return 0;
        }
    } else {
        make($folder) && chdir($folder) or return 0;
    }
    $here = $folder;
    return 1;
}

# copy FROM TO: a regular file, into a new one that is root's alone; the handle of that one.
sub copy {
    my ($from, $to) = @_;
    sysopen(my $in, $from, O_RDONLY | O_NOFOLLOW) or return;
    sysopen(my $out, $to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600) or return;
    my $buffer;
    while (1) {
        my $length = sysread($in, $buffer, 1 << 16);
        return unless defined $length;
        last if $length == 0;
        my $done = 0;
        while ($done < $length) {
            my $more = syswrite($out, $buffer, $length - $done, $done);
            return unless defined $more;
            $done += $more;
        }
    }
    return $out;
}

# Whether two files of the same size have the same content.
sub is_same {
    my @files;
    for (0, 1) {
        sysopen($files[$_], $_[$_], O_RDONLY | O_NOFOLLOW) or return 0;
    }
    while (1) {
        my @parts = ('', '');
        for (0, 1) {
            defined(read($files[$_], $parts[$_], 1 << 16)) or return 0;
        }
        return 0 if $parts[0] ne $parts[1];
        return 1 if $parts[0] eq '';
    }
}

# Keeps what stands there, beside the journal, before it is replaced.
sub keep {
    my ($path, $name) = @_;
    my @there = lstat $name or return 1;
    my $kept = "$run/kept$path";
    make($kept =~ m{^(.*)/}) or return 0;
    unlink $kept;
    # What takes its place is another file, so that a second name keeps this one as it is.
    return 1 if S_ISREG($there[2]) && link($name, $kept);
    return symlink(readlink($name), $kept) if S_ISLNK($there[2]);
    return system('cp', '-a', $name, $kept) == 0 unless S_ISREG($there[2]);
    my $copy = copy($name, $kept) or return 0;
    chown($there[4], $there[5], $copy) && chmod($there[2] & 07777, $copy) or return 0;
    close($copy) or return 0;
    return utime($there[8], $there[9], $kept);
}

sub take_away {
    my ($path) = @_;
    return unless lstat $path;
    unless (enter($path)) {
        record('notice', "$path is reached by a link now, and is left alone");
        return;
    }
    my $name = './' . ($path =~ m{([^/]*)$})[0];
    my @there = lstat $name or return;
    # A folder of that name is not what was sent.
    return if S_ISDIR($there[2]);
    keep($path, $name) or fail("no copy of $path could be kept");
    unlink($name) or fail("$path could not be removed");
}

# An empty folder, which Docker makes where a mounted file is missing, gives way to the file.
sub make_way {
    my ($path, $name) = @_;
    system('find', $name, qw(-depth -type d -empty -delete));
    if (lstat $name) {
        record('hint', "look at what is in it on the host, and move it away: sudo ls -A $path");
        fail("$path is a folder on the host that is not empty, and a file is to take its place");
    }
    open(my $turned, '>>', "$scratch/turned") or return;
    print $turned "$path\n";
}

sub place {
    my ($number, $mode, $owner, $path) = @_;
    unless (enter($path)) {
        record('hint', "look at the folders of $path on the host: one of them is a link, or cannot be made");
        fail("the folder of $path could not be entered");
    }
    my $name = './' . ($path =~ m{([^/]*)$})[0];
    my @ids = ids_of($owner);
    my @there = lstat $name;
    my $new = "$change/files/$number";
    if (@there && S_ISREG($there[2]) && $there[7] == -s $new && is_same($name, $new)) {
        chmod(oct $mode, $name) && chown(@ids, $name) or fail("$path could not be given to $owner");
        return;
    }
    make_way($path, $name) if @there && S_ISDIR($there[2]);
    keep($path, $name) or fail("no copy of $path could be kept");
    # Given away in the run's own folder, then moved: in the target folder others may create names.
    chown(@ids, $new) && chmod(oct $mode, $new) && utime(undef, undef, $new) or fail("$path could not be written");
    if ((stat $new)[0] != (stat '.')[0]) {
        # On another disk a move would not be at once.
        my $staged = sprintf '%s.%08x%08x', $name, rand(2**32), rand(2**32);
        my $copy = copy($new, $staged);
        unless ($copy && chown(@ids, $copy) && chmod(oct $mode, $copy) && close($copy)) {
            unlink $staged;
            fail("$path could not be written");
        }
        $new = $staged;
    }
    return if rename $new, $name;
    unlink $new if $new !~ m{^/};
    fail("$path could not be written");
}

my $number = 0;
for (lines_of("$change/files/list")) {
    my ($mode, $owner, $sum, $path) = split /\t/, $_, 4;
    $number++;
    if ($sum eq '-') {
        take_away($path);
    } elsif (!$seeds{$path} || !-e $path || -d $path) {
        place($number, $mode, $owner, $path);
    }
}
