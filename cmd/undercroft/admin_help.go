package main

// commonFlagsText ends the help of every topic but for its examples.
const commonFlagsText = `Flags of all
  --admin URL   the admin listener of the server. Default http://127.0.0.1:9001.
  --data DIR    a data directory of the server, which keeps the admin token
  --json        print JSON

These commands need the right to administer: UNDERCROFT_ROOT_ACCESS_KEY and
UNDERCROFT_ROOT_SECRET_KEY in the environment, or --data (or UNDERCROFT_DATA) on the
machine of the server, as a user who may read its directories.
`

const accountUsageText = `Manage the accounts, users, access keys and metadata of a running server.

Usage: undercroft admin account|user|key|metadata COMMAND [ARGUMENTS] [FLAGS]

An account owns buckets and objects. Its root, who signs with the account's own access
keys, may do everything in it. A user of an account may do what its policy says.

Accounts. ACCOUNT is an account's number, e-mail address or canonical id.
  account create --name NAME [--email ADDRESS] [--id NUMBER]
          [--access-key KEY] [--secret-key SECRET] [--no-key]
      Create an account with an access key of its root. The number (12 digits) and the
      key pair are generated where they are not given; --no-key leaves the key out.
  account list
  account show ACCOUNT
  account set ACCOUNT [--name NAME] [--email ADDRESS]
      000000000001 is the account of the installation's root credentials.
  account disable ACCOUNT        all its keys stop working at once; nothing is deleted
  account enable ACCOUNT
  account delete ACCOUNT         refused while it has buckets or users

Users
  user create ACCOUNT USER [--display-name NAME] [--email ADDRESS] [--policy FILE]
  user list ACCOUNT
  user show ACCOUNT USER
  user set ACCOUNT USER [--display-name NAME] [--email ADDRESS]
  user disable ACCOUNT USER
  user enable ACCOUNT USER
  user delete ACCOUNT USER       with its access keys
  user policy set ACCOUNT USER FILE
      Replace the user's policy, a JSON document as AWS's inline policies are.
  user policy show ACCOUNT USER
  user policy delete ACCOUNT USER

Access keys, of a user or, without --user, of the account's root
  key create ACCOUNT [--user USER] [--access-key KEY] [--secret-key SECRET]
          [--description TEXT]
      KEY has 3 to 128 letters, digits, _ or -; SECRET 8 to 128 characters. What is not
      given is generated. The secret is shown now and never again. --secret-key shows in
      the list of processes; --secret-key-file FILE, wherever it is allowed, does not.
  key list ACCOUNT [--user USER]
  key rotate ACCESS-KEY [--secret-key SECRET]
      Give the key another secret; the old one stops working at once.
  key disable ACCESS-KEY
  key enable ACCESS-KEY
  key delete ACCESS-KEY

Metadata
  metadata backup --out DIR
      Write a consistent copy of the metadata into a new directory, on the server's
      machine and outside of its data directories.
  metadata export FILE|- [--offline] [--metadata PLACE] [--while-running]
      Write all rows of the metadata, at one version and with checksums, as a stream that
      any engine can import. --offline reads the directories of a server that is stopped,
      --metadata what the server was told with the same: fdb:FILE, which is refused while
      servers and gateways run. --while-running exports it if nothing is written meanwhile.
  metadata import FILE|- [--replace] [--accept-problems] [--metadata PLACE]
      Import an export into the directories of a server that is stopped, all of which --data
      names: they are new, or their metadata is gone. An import that was cut off goes on
      when it is run again; until it has ended the server does not start. --replace
      deletes metadata that is there; --accept-problems imports also what the checker
      finds to be broken. --metadata imports into FoundationDB, or another directory; --data
      then names the data directories that go with it, as far as there are any.
      docs/operations/metadata.md says how to restore a backup and an export, and
      docs/operations/foundationdb.md how to move from one engine to the other.

` + commonFlagsText + `
Examples
  undercroft admin account create --data ./data --name "Backups" --email backup@example.com
  undercroft admin user create backup@example.com nightly --policy nightly.json
  undercroft admin key create backup@example.com --user nightly --json
  undercroft admin key disable AKIAIOSFODNN7EXAMPLE
  undercroft admin metadata backup --data ./data --out /backup/metadata-1
  undercroft admin metadata export --data ./data /backup/metadata.export
  undercroft admin metadata import --data /mnt/d1 --data /mnt/d2 /backup/metadata.export
  undercroft admin metadata import --metadata fdb:/etc/foundationdb/fdb.cluster \
    --data /mnt/d1 --data /mnt/d2 /backup/metadata.export
`
