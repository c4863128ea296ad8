package config

import (
	"fmt"
	"io"
	"strings"
)

// helpWidth is the width that help texts are wrapped to.
const helpWidth = 88

// WriteHelp writes every setting, grouped, with its default.
func WriteHelp(w io.Writer) error {
	var b strings.Builder
	for _, group := range []string{groupStorage, groupNetwork, groupIdentity, groupEncryption, groupNewBuckets, groupLimits, groupLogs} {
		fmt.Fprintf(&b, "%s\n", group)
		for _, o := range options(new(Config)) {
			if o.group == group {
				writeOption(&b, o)
			}
		}
		b.WriteString("\n")
	}
	b.WriteString("Configuration file\n")
	writeOption(&b, option{name: configOption, placeholder: "FILE", help: "A YAML file of the same settings, without the dashes (listen: 0.0.0.0:9000; data: [/mnt/a, /mnt/b])."})
	_, err := io.WriteString(w, b.String())
	return err
}

func writeOption(b *strings.Builder, o option) {
	head := "  --" + o.name
	if o.placeholder != "" {
		head += " " + o.placeholder
	}
	help := o.help
	if o.fallback != "" && o.placeholder != "" {
		help += " Default " + o.fallback + "."
	}
	fmt.Fprintf(b, "%s\n", head)
	for _, line := range wrap(help+" ["+envName(o.name)+"]", helpWidth-6) {
		fmt.Fprintf(b, "      %s\n", line)
	}
}

// wrap breaks a text into lines of at most width bytes where words allow it.
func wrap(s string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(s) {
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) > width:
			lines, line = append(lines, line), word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}
