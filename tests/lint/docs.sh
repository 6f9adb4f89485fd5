#!/usr/bin/env bash
# docs.sh - every public function is documented in the fixed form: a head line `name - what`,
# and the fields Returns (unless it is void), Waits, Threads and Source. One comment may serve
# several declarations right under it when it names each. WEFT_WAITS stands exactly where the
# comment says "Waits    yes"; "Waits    only ..." is for what may wait but is safe to drop.
set -u

tmp=$(mktemp)
trap 'rm -f "$tmp"' EXIT

bad=0
for header in include/weft/*.h; do
    gcc -std=gnu11 -Iinclude -fsyntax-only -aux-info "$tmp" -x c "$header" || exit 1
    sed -nE "s|^/\* $header:([0-9]+):NC \*/ ([^(]*[ *])(weft_[a-z0-9_]*) \(.*|\1 \3 \2|p" "$tmp" |
        awk -v header="$header" '
        function complain(line, text) { print header ":" line ": " text; bad = 1 }

        # First the declarations as gcc lists them, then the header itself.
        part == 1 {
            line_of[$2] = $1
            type = $0
            sub(/^[0-9]+ [a-z0-9_]+ /, "", type)
            is_void[$2] = (type ~ /^extern void *$/)
            names[++n_names] = $2
            next
        }

        /^\/\*/ { in_comment = 1; text = ""; statement = "" }
        in_comment {
            text = text $0 "\n"
            if ($0 ~ /\*\/[ \t]*$/) in_comment = 0
            next
        }
        {
            statement = statement " " $0
            comment_at[FNR] = text
            # Where a declaration begins: the text since the last semicolon or comment.
            statement_at[FNR] = statement
            if ($0 ~ /;[ \t]*(\/\*.*)?$/ || $0 ~ /^#/ || $0 ~ /^WEFT_(BEGIN|END)_DECLS/) statement = ""
        }

        END {
            for (i = 1; i <= n_names; i++) {
                name = names[i]; line = line_of[name]
                doc = comment_at[line]
                if (doc !~ ("(^|[^a-z0-9_])" name "([^a-z0-9_]|$)")) {
                    complain(line, name ": the comment above does not name it")
                    continue
                }
                if (doc !~ /\n \* weft_[^\n]* - /) complain(line, name ": no head line `name - what`")
                if (!is_void[name] && doc !~ /\n \* Returns  /) complain(line, name ": no Returns")
                if (doc !~ /\n \* Waits    (yes|no|only)/) complain(line, name ": no Waits yes, no or only")
                if (doc !~ /\n \* Threads  /) complain(line, name ": no Threads")
                if (doc !~ /\n \* Source   /) complain(line, name ": no Source")
                waits = doc ~ /\n \* Waits    yes/
                marked = statement_at[line] ~ /WEFT_WAITS/
                if (waits && !marked) complain(line, name ": waits, but has no WEFT_WAITS")
                if (marked && doc ~ /\n \* Waits    no/)
                    complain(line, name ": has WEFT_WAITS, but Waits says no")
            }
            exit bad
        }' part=1 - part=2 "$header" || bad=1
done
exit $bad
