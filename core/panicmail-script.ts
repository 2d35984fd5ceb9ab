/** /usr/local/etc/rc.d/foundry_panicmail: rc(8) script of the image, POSIX sh. No ${…} in it, so that it can stand here as it is. */
export const panicmailScript = String.raw`#!/bin/sh
#
# After a kernel panic: sends a report of each new dump that savecore(8) has saved, encrypted to one public key.
# Settings in rc.conf:
#   foundry_panicmail_enable       YES or NO
#   foundry_panicmail_to           who gets the report
#   foundry_panicmail_autosubmit   YES: send it at boot. NO: tell root, who sends it by "service foundry_panicmail submit"
#   foundry_panicmail_report       backtrace: dump header, panic message, backtrace. crashinfo: all that crashinfo(8) wrote
# The report is an S/MIME message; the owner of the private key reads it with
#   openssl cms -decrypt -text -in MESSAGE -inkey KEY

# PROVIDE: foundry_panicmail
# REQUIRE: savecore LOGIN mail
# KEYWORD: nojail

# rc.subr is FreeBSD's; it reads these variables and sets those of rc.conf.
# shellcheck disable=SC1091,SC2034,SC2154
. /etc/rc.subr

name="foundry_panicmail"
desc="Encrypted reports of kernel panics"
rcvar="foundry_panicmail_enable"
start_cmd="foundry_panicmail_start"
stop_cmd=":"
extra_commands="submit"
submit_cmd="foundry_panicmail_submit"

load_rc_config "$name"
[ -n "$foundry_panicmail_enable" ] || foundry_panicmail_enable="NO"
[ -n "$foundry_panicmail_autosubmit" ] || foundry_panicmail_autosubmit="NO"
[ -n "$dumpdir" ] || dumpdir="/var/crash"

PATH="/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"
key="/usr/local/etc/foundry/panicmail.pem"
state="/var/db/foundry-panicmail"

say()
{
    logger -t foundry_panicmail -p mail.notice -- "$1"
    echo "foundry_panicmail: $1"
}

# new N: whether dump N has not been reported. Numbers come again, so a dump is known by its header.
new()
{
    digest=$(openssl dgst -sha256 -r "$dumpdir/info.$1") || return 1
    digest=$(printf '%s\n' "$digest" | cut -c 1-64)
    ! grep -qx "$digest" "$state/reported" 2>/dev/null
}

# done_with N: never again.
done_with()
{
    printf '%s\n' "$digest" >>"$state/reported"
}

# compose N: the report, in the clear, on standard output.
compose()
{
    cat "$dumpdir/info.$1"
    echo
    if [ ! -f "$dumpdir/core.txt.$1" ]; then
        echo "There is no $dumpdir/core.txt.$1: crashinfo(8) found no debugger (package gdb) or no matching kernel."
    elif [ "$foundry_panicmail_report" = crashinfo ]; then
        cat "$dumpdir/core.txt.$1"
    else
        # What follows the first rule is the state of processes, memory and network.
        sed '/^--------------------/,$d' "$dumpdir/core.txt.$1"
    fi
}

# encrypt: standard input as an S/MIME message for the owner of the key. cms(1) encrypts to certificates only, so the key gets
# one, signed by a key that is thrown away: nobody relies on it. AES in CBC and no signature: every reader of S/MIME has them,
# and since anybody may have the public key, a report proves nothing by being authentic.
encrypt()
{
    scratch=$(mktemp -d /tmp/foundry_panicmail.XXXXXXXX) || return 1
    openssl req -new -newkey rsa:2048 -nodes -subj "/CN=panic reports" \
        -keyout "$scratch/key" -out "$scratch/request" 2>"$scratch/said" &&
        openssl x509 -req -in "$scratch/request" -signkey "$scratch/key" -force_pubkey "$key" -days 1 \
            -out "$scratch/certificate" 2>"$scratch/said" &&
        openssl cms -encrypt -text -aes-256-cbc -to "$foundry_panicmail_to" -from root \
            -subject "Kernel panic report of $(hostname)" \
            -recip "$scratch/certificate" -keyopt rsa_padding_mode:oaep -out "$scratch/message" 2>"$scratch/said"
    status=$?
    if [ "$status" -eq 0 ]; then
        echo "Auto-Submitted: auto-generated"
        cat "$scratch/message"
    else
        logger -t foundry_panicmail -p mail.err -- "openssl: $(head -n 3 "$scratch/said" | tr '\n' ' ')"
    fi
    rm -rf "$scratch"
    return "$status"
}

# submit N: encrypts and sends. What could not be encrypted is not sent.
submit()
{
    sealed="$state/message.$1"
    if ! compose "$1" | encrypt >"$sealed" || ! [ -s "$sealed" ]; then
        rm -f "$sealed"
        say "the report of dump $1 could not be encrypted; it is not sent"
        return 1
    fi
    if ! sendmail -oi -- "$foundry_panicmail_to" <"$sealed"; then
        say "the report of dump $1 could not be handed to sendmail; the next boot tries again"
        return 1
    fi
    rm -f "$sealed"
    done_with "$1"
    say "a report of dump $1 is on its way to $foundry_panicmail_to"
}

# ask N: tells root once, in words that say nothing of the panic.
ask()
{
    ! grep -qx "$digest" "$state/asked" 2>/dev/null || return 0
    compose "$1" >"$dumpdir/report.$1.txt"
    sendmail -oi -- root <<END
To: root
From: root
Subject: A kernel panic of $(hostname) can be reported
Auto-Submitted: auto-generated

The report is $dumpdir/report.$1.txt on $(hostname). To send it,
encrypted, to $foundry_panicmail_to:

    service foundry_panicmail submit
END
    printf '%s\n' "$digest" >>"$state/asked"
}

# each COMMAND: for every dump that is new.
each()
{
    umask 077
    mkdir -p "$state"
    for header in "$dumpdir"/info.*; do
        # info.last is a link to one of the others. expr fails for dump 0 too, so its word counts.
        number=$(expr "$header" : '.*/info\.\([0-9][0-9]*\)$')
        if [ -n "$number" ] && new "$number"; then
            "$1" "$number"
        fi
    done
}

foundry_panicmail_start()
{
    if checkyesno foundry_panicmail_autosubmit; then
        each submit
    else
        each ask
    fi
}

foundry_panicmail_submit()
{
    each submit
}

run_rc_command "$1"
`;
