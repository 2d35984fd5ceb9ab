/**
 * /usr/local/etc/rc.d/foundry_mail: rc(8) script of the image, POSIX sh. No ${…} in it, so that it can stand here as it is.
 *
 * Secrets stand in variables and pipes only: printf is built into sh, and curl reads what it sends from standard input, so ps(1)
 * shows none of them. curl signs by itself (--aws-sigv4) and is a tenth of awscli, which would bring Python along.
 */
export const mailScript = String.raw`#!/bin/sh
#
# Prepares outgoing mail: aliases, certificates of authorities, and the relays' credentials, fetched at every boot.
# Settings in rc.conf:
#   foundry_mail_enable                 YES or NO
#   foundry_mail_tries                  how often to try at boot (5, with 1, 2, 4, 8 seconds between); cron goes on
#   foundry_mail_ssm_endpoint           URL of a VPC endpoint, if SSM has another than the public one
#   foundry_mail_secretsmanager_endpoint   the same for Secrets Manager
# "service foundry_mail refresh" fetches again and tells Postfix when something is new.

# PROVIDE: foundry_mail
# REQUIRE: NETWORKING SERVERS cleanvar
# BEFORE: mail

# rc.subr is FreeBSD's; it reads these variables and sets those of rc.conf.
# shellcheck disable=SC1091,SC2034,SC2154
. /etc/rc.subr

name="foundry_mail"
desc="Credentials of outgoing mail"
rcvar="foundry_mail_enable"
start_cmd="foundry_mail_start"
stop_cmd=":"
extra_commands="refresh"
refresh_cmd="foundry_mail_refresh"

load_rc_config "$name"
[ -n "$foundry_mail_enable" ] || foundry_mail_enable="NO"
[ -n "$foundry_mail_tries" ] || foundry_mail_tries=5
[ -n "$foundry_mail_imds" ] || foundry_mail_imds="http://169.254.169.254"

PATH="/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"
routes="/usr/local/etc/foundry/mail-routes"
placed="/usr/local/etc/foundry/mail-credentials"
maps="/var/run/foundry-mail"

# say TEXT: to the log; at boot to the console too. Never given a secret.
say()
{
    logger -t foundry_mail -p mail.notice -- "$1"
    [ -n "$quiet" ] || echo "foundry_mail: $1"
}

# json KEY: the first string of that key in the JSON text on standard input. Fails when there is none.
json()
{
    LC_ALL=C awk -v wanted="$1" '
    BEGIN {
        for (code = 1; code < 127; code++) ascii[sprintf("%04x", code)] = sprintf("%c", code)
        escape["n"] = "\n"; escape["t"] = "\t"; escape["r"] = "\r"; escape["b"] = "\b"; escape["f"] = "\f"
        escape["\""] = "\""; escape["\\"] = "\\"; escape["/"] = "/"
    }
    { text = text $0 "\n" }
    END {
        size = length(text)
        for (i = 1; i <= size; i++) {
            c = substr(text, i, 1)
            if (c == ":") { value = (string == wanted); continue }
            if (c != "\"") {
                if (c !~ /[ \t\r\n]/) value = 0
                continue
            }
            string = ""
            for (i++; i <= size; i++) {
                c = substr(text, i, 1)
                if (c == "\"") break
                if (c == "\\") {
                    c = substr(text, ++i, 1)
                    if (c == "u") {
                        code = tolower(substr(text, i + 1, 4))
                        i += 4
                        if (!(code in ascii)) exit 1
                        c = ascii[code]
                    } else {
                        if (!(c in escape)) exit 1
                        c = escape[c]
                    }
                }
                string = string c
            }
            if (value) { printf "%s", string; exit 0 }
        }
        exit 1
    }'
}

# imds PATH: what the instance metadata service says. curl reads the token from standard input.
imds()
{
    printf 'header = "X-aws-ec2-metadata-token: %s"\n' "$token" |
        curl -q -s -f --noproxy '*' --max-time 5 -K - "$foundry_mail_imds/latest/meta-data/$1"
}

# identify: token, region, domain and the keys of the instance's role, once for each try.
identify()
{
    [ -z "$secret_key" ] || return 0
    if ! token=$(curl -q -s -f --noproxy '*' --max-time 5 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' \
        "$foundry_mail_imds/latest/api/token"); then
        say "the instance metadata service does not answer"
        return 1
    fi
    if ! region=$(imds placement/region) || ! domain=$(imds services/domain); then
        say "the instance metadata service does not tell the region"
        return 1
    fi
    if ! role=$(imds iam/security-credentials/) || [ -z "$role" ]; then
        say "the instance has no role, which it needs to read credentials"
        return 1
    fi
    if ! keys=$(imds "iam/security-credentials/$role") ||
        ! access_key=$(printf '%s' "$keys" | json AccessKeyId) ||
        ! session=$(printf '%s' "$keys" | json Token) ||
        ! secret_key=$(printf '%s' "$keys" | json SecretAccessKey); then
        secret_key=""
        say "the role $role has no keys yet"
        return 1
    fi
    # They go into a quoted line of curl's: nothing else may be in them.
    case "$access_key$session$secret_key$region$domain" in
    *[!A-Za-z0-9+/=_.:-]*) secret_key=""; say "the keys of the role have unknown characters"; return 1 ;;
    esac
}

# ask SERVICE TARGET FIELD NAME MORE REGION: a call of AWS's JSON protocol; sets answer. What went wrong is AWS's own word.
ask()
{
    [ "$6" = - ] && where="$region" || where="$6"
    case "$1" in
    ssm) endpoint="$foundry_mail_ssm_endpoint" ;;
    *) endpoint="$foundry_mail_secretsmanager_endpoint" ;;
    esac
    [ -n "$endpoint" ] || endpoint="https://$1.$where.$domain"
    answer=$(
        {
            printf 'url = "%s/"\n' "$endpoint"
            printf 'aws-sigv4 = "aws:amz:%s:%s"\n' "$where" "$1"
            printf 'user = "%s:%s"\n' "$access_key" "$secret_key"
            printf 'header = "X-Amz-Security-Token: %s"\n' "$session"
            printf 'header = "X-Amz-Target: %s"\n' "$2"
            printf 'header = "Content-Type: application/x-amz-json-1.1"\n'
            printf 'data = "{\\"%s\\":\\"%s\\"%s}"\n' "$3" "$4" "$5"
        } | curl -q -s --max-time 10 -w '\n%{http_code}' -K -
    ) || { say "$endpoint does not answer (curl $?)"; return 1; }
    case "$answer" in
    *"
200") return 0 ;;
    esac
    why=$(printf '%s' "$answer" | json message) || why=$(printf '%s' "$answer" | json Message) || why=""
    say "$1 refuses $4: $(printf '%s' "$answer" | json __type) $why"
    return 1
}

# fetch ROUTE KIND NAME REGION: sets credential.
fetch()
{
    credential=""
    case "$2" in
    file)
        [ -f "$placed/$1" ] || { say "$placed/$1 is not there"; return 1; }
        chmod 0600 "$placed/$1"
        credential=$(cat "$placed/$1")
        ;;
    ssm)
        identify && ask ssm AmazonSSM.GetParameter Name "$3" ',\"WithDecryption\":true' "$4" || return 1
        credential=$(printf '%s' "$answer" | json Value) || { say "$3 has no value"; return 1; }
        ;;
    secret)
        identify && ask secretsmanager secretsmanager.GetSecretValue SecretId "$3" '' "$4" || return 1
        credential=$(printf '%s' "$answer" | json SecretString) || { say "$3 has no text"; return 1; }
        ;;
    esac
    case "$credential" in
    "{"*)
        if ! user=$(printf '%s' "$credential" | json username) ||
            ! password=$(printf '%s' "$credential" | json password); then
            say "the JSON for $1 lacks username or password"
            return 1
        fi
        case "$user" in *:*) say "the user name for $1 has a colon"; return 1 ;; esac
        credential="$user:$password"
        ;;
    esac
    # The map takes one line, cuts blanks around it, and its first colon ends the user name.
    case "$credential" in
    *[[:cntrl:]]* | [[:space:]]* | *[[:space:]]) say "the credentials for $1 have a control character or blanks around"; return 1 ;;
    ?*:?*) return 0 ;;
    esac
    say "the credentials for $1 are not of the form user:password"
    return 1
}

# update: every route once. Sets changed and missing.
update()
{
    missing=""
    secret_key=""
    (umask 077; mkdir -p "$maps")
    while read -r route hop kind reference place; do
        [ -n "$route" ] || continue
        if ! fetch "$route" "$kind" "$reference" "$place" </dev/null; then
            # What worked before may work still: SES keeps an old password for a while.
            missing="$missing $route"
            continue
        fi
        (umask 077; printf '%s %s\n' "$hop" "$credential" >"$maps/.$route.$$")
        if cmp -s "$maps/.$route.$$" "$maps/$route"; then
            rm -f "$maps/.$route.$$"
        else
            mv -f "$maps/.$route.$$" "$maps/$route"
            changed="$changed $route"
            say "credentials for $route are in place"
        fi
    done <"$routes"
    answer="" credential="" user="" password="" keys="" secret_key="" session=""
}

# announce: a running Postfix reads its maps again, and sends what has waited.
announce()
{
    [ -n "$changed" ] && postfix status >/dev/null 2>&1 || return 0
    postfix reload >/dev/null 2>&1
    # Its daemons end when they are idle: one that still has the old map must not take the mail again.
    sleep 3
    postqueue -f
}

foundry_mail_start()
{
    quiet="" changed="" try=1 pause=1
    # The build cannot make these: they are made by programs of the image.
    newaliases || say "newaliases failed: mail to local users waits"
    ls /etc/ssl/certs/*.0 >/dev/null 2>&1 || certctl rehash >/dev/null 2>&1 || say "there are no certificates of authorities"
    update
    while [ -n "$missing" ] && [ "$try" -lt "$foundry_mail_tries" ]; do
        sleep "$pause"
        try=$((try + 1)) pause=$((pause * 2))
        update
    done
    [ -z "$missing" ] || say "no credentials for$missing: its mail waits, and cron tries again"
    announce
}

# By cron: silent, or root would get a mail about mail every time.
foundry_mail_refresh()
{
    quiet="yes" changed=""
    update
    announce
}

run_rc_command "$1"
`;
