package main

const encryptionKeyUsageText = `Manage the encryption keys of a running server.

Usage: undercroft admin keys COMMAND [ARGUMENTS] [FLAGS]

Objects are encrypted under keys of their own, which are sealed under these. The keys are
in the metadata, sealed under the master key; no command shows them. undercroft-sse-s3 is
the one of SSE-S3. The others are for SSE-KMS, unless the server has --kms vault: then
those are in Vault or OpenBao and administered there.

KEY is a name: letters, digits and ._- after a letter or digit.
  keys list
  keys show KEY
      With its versions, and how many object versions and uploads are sealed under it.
  keys create KEY [--description TEXT]
  keys rotate KEY [--watch]
      Give the key a new version, which seals everything from now on, and have the job
      rewrap seal under it what older versions sealed. No object is read or written.
      --watch shows how far that is. The old versions stay until keys drop.
  keys drop KEY [--watch]
      End the versions but the newest, once nothing is sealed under them any more: the
      job rewrap goes through everything and looks.
  keys rewrap [--watch]
      Run the job rewrap: after a rotation in Vault, or when something was left.
  keys disable KEY        what is sealed under it cannot be read or written, at once
  keys enable KEY
  keys delete KEY --yes
      Destroy the key. Nobody can read what is sealed under it any more, from the next
      request on, and nothing brings it back but a backup of the metadata with its master
      key. Without --yes it says how much that is. The name is not given again.
  keys rotate --master
      Seal the keys and the secrets of access keys under the configured master key instead
      of the one that --previous-master-key-file of the server names.

` + commonFlagsText + `
Examples
  undercroft admin keys create invoices --description "Accounting" --data ./data
  undercroft admin keys rotate invoices --watch --data ./data
  undercroft admin keys drop invoices --watch --data ./data
`
