//! The Debian package, installed by dpkg and run by a real systemd: as a team's service, over an upgrade, until it is removed.

use std::fs;

use ticketgate_tests::machine::Machine;
use ticketgate_tests::{Outcome, product};

use crate::systemd::under_systemd;

/// What an administrator does, in the order of docs/team.md. Prints what a test can compare.
const SCRIPT: &str = r#"
exec 2>&1
export HOME=/var/tmp DEBIAN_FRONTEND=noninteractive
rm -f /usr/sbin/policy-rc.d
quietly() { "$@" > /var/tmp/said 2>&1 || { cat /var/tmp/said; exit 1; }; }
unit=ticketgate-broker.service
quietly dpkg -i /var/tmp/ticketgate.deb
grep -q 'write /etc/ticketgate/ticketgate.toml' /var/tmp/said && echo told
systemctl is-active $unit || true
systemctl is-enabled $unit ticketgate-sweep.timer
stat -c '%U:%G %a' /etc/ticketgate
ticketgate --version | cut -d' ' -f1

cd /etc/ticketgate
cat > /var/tmp/wish <<END
[req]
distinguished_name=dn
prompt=no
x509_extensions=ext
[dn]
CN=localhost
[ext]
basicConstraints=critical,CA:TRUE
subjectAltName=DNS:localhost,IP:127.0.0.1
END
certificate() { openssl req -x509 -config /var/tmp/wish -days 2 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout tls.key -out tls.crt 2> /dev/null; }
certificate
chown ticketgate tls.key
chmod 600 tls.key
cat > ticketgate.toml <<END
[service]
listen = "127.0.0.1:8443"
certificate = "/etc/ticketgate/tls.crt"
key = { file = "/etc/ticketgate/tls.key" }
monitor = "127.0.0.1:9464"
END
systemctl start $unit
cat > /var/tmp/ask.py <<END
import http.client, json, ssl, sys, time
def ask(path, secure):
    for attempt in range(100):
        try:
            if secure:
                context = ssl.create_default_context(cafile="/etc/ticketgate/tls.crt")
                connection = http.client.HTTPSConnection("localhost", 8443, context=context, timeout=5)
            else:
                connection = http.client.HTTPConnection("127.0.0.1", 9464, timeout=5)
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError as error:
            last = error
            time.sleep(0.1)
    raise last
status, body = ask(sys.argv[1], sys.argv[1].startswith("/v1"))
print(status, json.loads(body).get("code", "") if sys.argv[1].startswith("/v1") else "")
END
ask() { python3 /var/tmp/ask.py "$1"; }
ask /v1/overview
ask /healthz
ask /readyz
ask /metrics
ls -l /proc/"$(systemctl show --property MainPID --value $unit)"/exe > /dev/null
ps -o user= -p "$(systemctl show --property MainPID --value $unit)"
systemd-analyze security --no-pager --threshold=15 $unit > /var/tmp/score || cat /var/tmp/score
certificate
ask /v1/overview

before=$(systemctl show --property MainPID --value $unit)
quietly dpkg -i /var/tmp/ticketgate.deb
systemctl is-active $unit
[ "$before" != "$(systemctl show --property MainPID --value $unit)" ] && echo restarted
ask /v1/overview
journalctl --no-pager --unit $unit | grep -c 'panicked' || true
quietly dpkg --remove ticketgate
systemctl is-active $unit || true
ls /usr/bin/ticketgate 2> /dev/null || echo gone
quietly dpkg --purge ticketgate
[ -s /var/lib/ticketgate/ledger.sqlite ] && [ -s ticketgate.toml ] && echo kept
echo fine
"#;

#[test]
fn the_package_installs_serves_a_team_over_https_is_upgraded_and_leaves_ledger_and_configuration() -> Outcome
{
    let machine = Machine::start("packaged")?;
    fs::copy(product::package()?, machine.path("/var/tmp/ticketgate.deb"))?;
    let said = under_systemd(&machine, SCRIPT)?;
    let expected = [
        "told",
        "inactive",
        "enabled",
        "enabled",
        "root:ticketgate 750",
        "ticketgate",
        "401 sign_in_needed",
        "200 ",
        "200 ",
        "200 ",
        "ticketgate",
        "401 sign_in_needed",
        "active",
        "restarted",
        "401 sign_in_needed",
        "0",
        "inactive",
        "gone",
        "kept",
    ];
    assert_eq!(said.lines().map(str::trim_end).collect::<Vec<_>>(), expected.map(str::trim_end), "{said}");
    Ok(())
}
