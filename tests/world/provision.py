#!/usr/bin/python3
"""Make one customer's throw-away Active Directory domain in an empty folder.

Usage: /usr/bin/python3 provision.py FOLDER CUSTOMER        (Debian's own python3: it has the samba module)

CUSTOMER is a word such as "acme": the realm is ACME.TEST, the short domain name ACME. Needs the packages samba,
samba-dsdb-modules, samba-ad-provision and openssl, but not root. Writes nothing outside FOLDER.

It calls the provisioning library and not `samba-tool domain provision`, because only the library can skip the
ACLs of the sysvol share, which need root and which no LDAP test uses.

FOLDER/world.json then says what is in the domain, passwords included, and FOLDER/ca.pem and ca.key are the CA
that vouches for its servers. See populate() for the accounts and groups.
"""
import json
import logging
import os
import secrets
import subprocess
import sys

import ldb
import samba.dsdb
import samba.param
from samba.auth import system_session
from samba.dcerpc import security
from samba.ndr import ndr_unpack
from samba.provision import provision
from samba.samdb import SamDB
from samba.sd_utils import SDUtils

# schemaIDGUID and rightsGuid values, the same in every Active Directory.
CLASS_USER = "bf967aba-0de6-11d0-a285-00aa003049e2"
RIGHT_RESET_PASSWORD = "00299570-246d-11d0-a768-00aa006e0529"
SET_ACCOUNT_RESTRICTIONS = "4c164200-20c0-11d0-a768-00aa006e0529"  # userAccountControl, accountExpires, pwdLastSet
ATTRIBUTE_DESCRIPTION = "bf967950-0de6-11d0-a285-00aa003049e2"
ATTRIBUTE_PRIMARY_GROUP = "bf967a00-0de6-11d0-a285-00aa003049e2"
ATTRIBUTE_MEMBER = "bf9679c0-0de6-11d0-a285-00aa003049e2"

NORMAL_ACCOUNT = 0x200
DONT_EXPIRE_PASSWORD = 0x10000
GLOBAL_SECURITY_GROUP = -2147483646

# Past 1,500 values a Windows server hands an attribute out in ranges, and past 1,000 entries a search in pages.
BIG_GROUP_MEMBERS = 1600

# Name in world.json, and common name as a person wrote it. ldb.Dn escapes it.
PLAIN_GROUPS = [
    ("tier1", "Tier1 Server Admins"),
    ("helpdesk", "Helpdesk Operators"),
    ("nested_inner", "Nested Inner"),
    ("nested_outer", "Nested Outer"),
    ("big", "Big Group"),
]
ODD_GROUPS = [
    ("comma", "Servers, Frankfurt"),
    ("quotes", 'The "Blue" Team'),
    ("umlaut", "Größe Prüfer"),
    ("backslash", "Back\\Slash"),
    ("hash", "#1 Operators"),
    ("space", " Leading Space"),
    ("brackets", "Ops (night) * <all> +;="),
]


def password():
    return "Aa1-" + secrets.token_hex(16)


class Domain:
    """The new domain's database, opened as the system."""

    def __init__(self, folder, customer, administrator_password):
        self.customer = customer
        self.dns = customer + ".test"
        self.base = "DC=%s,DC=test" % customer
        conf = os.path.join(folder, "etc", "smb.conf")
        os.makedirs(os.path.dirname(conf))
        open(conf, "w").close()
        self._provision(folder, conf, administrator_password)
        parameters = samba.param.LoadParm()
        parameters.load(conf)
        database = os.path.join(folder, "private", "sam.ldb")
        self.sam = SamDB(database, session_info=system_session(), lp=parameters)

    def _provision(self, folder, conf, administrator_password):
        parameters = samba.param.LoadParm()
        parameters.load(conf)
        parameters.set("debug level", "0")
        log = logging.getLogger("provision")
        log.setLevel(logging.ERROR)
        log.addHandler(logging.StreamHandler())
        provision(log, system_session(), targetdir=folder, realm=self.dns.upper(), domain=self.customer.upper(),
                  hostname="dc1", hostip="127.0.0.1", adminpass=administrator_password, dns_backend="NONE",
                  serverrole="active directory domain controller",
                  dom_for_fun_level=samba.dsdb.DS_DOMAIN_FUNCTION_2008_R2, useeadb=True, lp=parameters,
                  skip_sysvolacl=True, batch_mode=True)

    def dn(self, name, unit):
        """The DN of CN=name in a unit, escaped as RFC 4514 has it."""
        dn = ldb.Dn(self.sam, "CN=x,%s,%s" % (unit, self.base))
        dn.set_component(0, "CN", name)
        return dn

    def unit(self, name):
        self.sam.add({"dn": "OU=%s,%s" % (name, self.base), "objectClass": "organizationalUnit"})
        return "OU=" + name

    def user(self, name, unit, secret, flags=NORMAL_ACCOUNT):
        dn = self.dn(name, unit)
        self.sam.add({"dn": dn, "objectClass": "user", "sAMAccountName": name,
                      "userPrincipalName": "%s@%s" % (name, self.dns), "userAccountControl": str(flags),
                      "unicodePwd": ('"%s"' % secret).encode("utf-16-le")})
        return dn

    def group(self, name, unit, login):
        dn = self.dn(name, unit)
        self.sam.add({"dn": dn, "objectClass": "group", "sAMAccountName": login,
                      "groupType": str(GLOBAL_SECURITY_GROUP)})
        return dn

    def add_members(self, group, members):
        message = ldb.Message(group)
        message["member"] = ldb.MessageElement([str(m) for m in members], ldb.FLAG_MOD_ADD, "member")
        self.sam.modify(message)

    def sid(self, dn):
        found = self.sam.search(dn, ldb.SCOPE_BASE, attrs=["objectSid"])
        return str(ndr_unpack(security.dom_sid, found[0]["objectSid"][0]))


def populate(domain):
    """The accounts and groups that the tests speak of; answers world.json's part about them."""
    jit, rights, staff, contacts = (domain.unit(n) for n in ("JIT Accounts", "Rights", "Staff", "Contacts"))
    passwords = {name: password() for name in ("jit-svc", "requester", "tech1", "jit-clash")}

    # The service account: no member of anything, its rights are the ACEs of delegate().
    service = domain.user("jit-svc", "CN=Users", passwords["jit-svc"], NORMAL_ACCOUNT | DONT_EXPIRE_PASSWORD)
    # People: nobody special; a technician's own account; one whose name the product would like to use itself.
    people = {name: str(domain.user(name, staff, passwords[name])) for name in ("requester", "tech1", "jit-clash")}

    groups = {"domain_admins": domain.dn("Domain Admins", "CN=Users")}
    for key, name in PLAIN_GROUPS + ODD_GROUPS:
        plain = (key, name) in PLAIN_GROUPS
        groups[key] = domain.group(name, rights, name if plain else "odd-" + key)
    domain.add_members(groups["nested_outer"], [groups["nested_inner"]])
    crowd = [domain.dn("Person %04d" % n, contacts) for n in range(BIG_GROUP_MEMBERS)]
    for dn in crowd:
        domain.sam.add({"dn": dn, "objectClass": "contact"})
    domain.add_members(groups["big"], crowd)
    # Groups that the service account must not be able to write.
    untouchable = domain.group("Untouchable", rights, "Untouchable")

    # Kerberos and GSSAPI clients ask for this name.
    controller = ldb.Message(ldb.Dn(domain.sam, "CN=DC1,OU=Domain Controllers," + domain.base))
    name = "ldap/dc1." + domain.dns
    controller["spn"] = ldb.MessageElement(name, ldb.FLAG_MOD_ADD, "servicePrincipalName")
    domain.sam.modify(controller)

    unit = "%s,%s" % (jit, domain.base)
    delegate(domain, unit, groups.values(), domain.sid(service))
    # A unit whose administrator left out what is needed in one case only.
    sparse = "%s,%s" % (domain.unit("JIT Sparse"), domain.base)
    delegate_accounts(domain, sparse, domain.sid(service), primary_group=False)
    return {
        "unit": unit,
        "sparse_unit": sparse,
        "service": str(service),
        "people": people,
        "groups": {key: str(dn) for key, dn in groups.items()} | {"untouchable": str(untouchable)},
        "passwords": passwords,
    }


def delegate(domain, unit, groups, sid):
    """The least rights that do the job: JIT accounts in one unit, and the members of the listed groups."""
    delegate_accounts(domain, unit, sid)
    descriptors = SDUtils(domain.sam)
    for group in groups:
        # On Windows the ACE of a protected group also has to be on CN=AdminSDHolder,CN=System, which rewrites the
        # group's own ACL every hour. Samba 4.17 has no such job.
        descriptors.dacl_add_ace(str(group), "(OA;;RPWP;%s;;%s)" % (ATTRIBUTE_MEMBER, sid))


def delegate_accounts(domain, unit, sid, primary_group=True):
    """The five rights of docs/active-directory.md on a unit of JIT accounts."""
    descriptors = SDUtils(domain.sam)
    aces = [
        "(OA;;CCDC;%s;;%s)" % (CLASS_USER, sid),                                  # create and delete accounts
        "(OA;CIIO;CR;%s;%s;%s)" % (RIGHT_RESET_PASSWORD, CLASS_USER, sid),
        "(OA;CIIO;RPWP;%s;%s;%s)" % (SET_ACCOUNT_RESTRICTIONS, CLASS_USER, sid),  # enable, disable, expire
        "(OA;CIIO;RPWP;%s;%s;%s)" % (ATTRIBUTE_DESCRIPTION, CLASS_USER, sid),
    ]
    if primary_group:
        aces.append("(OA;CIIO;RPWP;%s;%s;%s)" % (ATTRIBUTE_PRIMARY_GROUP, CLASS_USER, sid))
    for ace in aces:
        descriptors.dacl_add_ace(unit, ace)


def authority(folder, name):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-days", "3650", "-keyout", folder + "/ca.key", "-out", folder + "/ca.pem", "-subj", "/CN=" + name,
                    "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def main():
    folder, customer = os.path.abspath(sys.argv[1]), sys.argv[2]
    administrator = password()
    domain = Domain(folder, customer, administrator)
    # One transaction: the crowd would otherwise be 1,600 flushes to the disk.
    domain.sam.transaction_start()
    world = populate(domain)
    domain.sam.transaction_commit()
    world |= {
        "customer": customer,
        "dns": domain.dns,
        "base": domain.base,
        "domain_sid": str(domain.sam.get_domain_sid()),
        "administrator": "CN=Administrator,CN=Users," + domain.base,
    }
    world["passwords"]["Administrator"] = administrator
    authority(folder, "%s test CA" % customer)
    path = os.path.join(folder, "world.json")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(world, file, indent=1)


main()
