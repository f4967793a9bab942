"""Small pieces of Jinja that together cover the language; templates.py renders them.

Each entry: name, template, context. Own text throughout. Names sort by topic.
"""

NUMBERS = {"xs": [3, 1, 2], "empty": [], "n": 7, "f": 2.5, "s": "Hello", "t": True, "z": None}
PEOPLE = {"people": [
    {"name": "Ann", "age": 31, "role": "user", "tags": ["a", "b"]},
    {"name": "bob", "age": 25, "role": "tool", "tags": []},
    {"name": "Cy", "age": 31, "role": "user", "tags": ["c"]},
]}
TREE = {"d": {"b": 2, "a": {"x": [1, {"y": "deep"}]}, "C": None}, "key": "a"}
TEXT = {"text": "  Two words\n", "quote": "it's \"so\"", "html": "<b>&'\"</b>",
        "uni": "Grüße, 世界 🦊", "lines": "one\ntwo\r\nthree\n", "csv": "a,b,,c", "blank": ""}

SNIPPETS = [
    # Output of values, as Python's str and repr.
    ("print none", "{{ none }}|{{ None }}|{{ z }}", NUMBERS),
    ("print booleans", "{{ true }} {{ false }} {{ True }} {{ False }} {{ t }}", NUMBERS),
    ("print integers", "{{ 0 }} {{ -3 }} {{ 1_000 }} {{ n }} {{ 9007199254740993 }}", NUMBERS),
    ("print integer bases", "{{ 0x1F }} {{ 0o17 }} {{ 0b101 }}", {}),
    ("print floats",
     "{{ 1.0 }} {{ 2.5 }} {{ 0.1 + 0.2 }} {{ 1e3 }} {{ 1.5e-7 }} {{ 1e16 }} {{ 1e22 }} "
     "{{ 123456789.125 }}", {}),
    ("print float edges",
     "{{ 1e15 }} {{ 0.0001 }} {{ 0.00001 }} {{ 1/3 }} {{ -0.0 }} {{ 1e308 * 10 }} "
     "{{ 100000000000000000000.0 }}", {}),
    ("print context floats", "{{ a }} {{ b }} {{ c }}", {"a": 1.0, "b": 1e-5, "c": 3.14159}),
    ("print list", "{{ [1, 'a', none, true, 2.0, [], {}] }}", {}),
    ("print dict", "{{ {'a': 1, 'b': [1, 2], 3: 'c', none: true} }}", {}),
    ("print tuple", "{{ (1, 2) }} {{ (1,) }} {{ () }}", {}),
    ("print nested from context", "{{ d }}", TREE),
    ("print string repr quotes", "{{ [\"it's\", 'say \"x\"', 'both \\' and \"'] }}", {}),
    ("print string repr escapes",
     "{{ ['a\\nb\\t\\\\', '\\x00\\x1f\\x7f', 'é世🦊', '\\u200b\\u00a0\\xad'] }}", {}),
    ("print undefined", "[{{ missing }}]", {}),
    ("print several expressions", "{{ 1 }}{{ 'a' }}{{ 2 ~ 'b' }}", {}),
    ("print conditional without else", "[{{ 'x' if false }}]", {}),
    ("print nested quotes in text", "a \"quoted\" 'text' { } % # {{ '{{' }} {{ \"}}\" }}", {}),
    ("print unicode", "{{ uni }} – ✓", TEXT),
    ("print html unescaped", "{{ html }}", TEXT),
    # Literals.
    ("literal string escapes", "{{ 'a\\tb\\nc\\\\d\\'e\\\"f' }}{{ \"\\u00e9\\x41\\101\" }}", {}),
    ("literal string unknown escape", "{{ '\\d\\w\\.' }}", {}),
    ("literal string adjacent", "{{ 'foo' 'bar' \"baz\" }}", {}),
    ("literal string newline inside", "{{ 'one\ntwo' }}", {}),
    ("literal string surrogate escape", "{{ '\\U0001F98A' }}", {}),
    ("literal list trailing comma", "{{ [1, 2, ] }} {{ {'a': 1, } }}", {}),
    ("literal dict expression keys", "{{ {key: 1, 'x' ~ 1: 2} }}", TREE),
    ("literal dict duplicate key", "{{ {'a': 1, 'a': 2} }}", {}),
    ("literal nested access", "{{ {'a': [10, 20]}['a'][1] }} {{ [1, 2][0] }} {{ 'abc'[1] }}", {}),
    # Arithmetic.
    ("maths basic", "{{ 7 + 2 }} {{ 7 - 2 }} {{ 7 * 2 }} {{ 7 / 2 }} {{ 8 / 2 }}", {}),
    ("maths floor and modulo",
     "{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 7.5 // 2 }} "
     "{{ -7.5 % 2 }}", {}),
    ("maths power",
     "{{ 2 ** 10 }} {{ 2 ** -1 }} {{ 2 ** 0.5 }} {{ -2 ** 2 }} {{ 2 ** 3 ** 2 }}", {}),
    ("maths precedence",
     "{{ 1 + 2 * 3 }} {{ (1 + 2) * 3 }} {{ 10 - 4 - 3 }} {{ 2 * 3 % 4 }} {{ -n + 1 }} "
     "{{ - -3 }} {{ +4 }}", NUMBERS),
    ("maths mixed", "{{ 1 + 1.0 }} {{ 3 * 0.5 }} {{ true + 1 }} {{ 10 // 2.0 }}", {}),
    ("maths strings and lists", "{{ 'ab' * 3 }} {{ [1] + [2] }} {{ [0] * 3 }} {{ 'a' + 'b' }}", {}),
    ("maths filter binds tighter",
     "{{ 2 * '3' | int }} {{ -3 | abs }} {{ 1 + [1, 2] | length }} {{ 'a' ~ 'b' | upper }}", {}),
    ("maths division by zero", "{{ 1 / 0 }}", {}),
    ("maths string plus int", "{{ 'a' + 1 }}", {}),
    ("maths none plus string", "{{ none + 'a' }}", {}),
    ("maths overflow to big", "{{ 2 ** 62 }} {{ 2 ** 31 * 2 }}", {}),
    # Concatenation.
    ("concat tilde", "{{ 'a' ~ 1 ~ none ~ true ~ [1] ~ 2.0 ~ missing ~ 'z' }}", {}),
    ("concat tilde precedence",
     "{{ 'a' ~ 1 * 2 }} {{ 'x' ~ 'y' == 'xy' }} {{ 'a' + 'b' ~ 'c' }} {{ 7 ~ -1 }}", {}),
    ("concat binds tighter than plus", "{{ 1 ~ 2 + 3 }}", {}),
    # Comparison and logic.
    ("compare numbers",
     "{{ 1 == 1.0 }} {{ 1 != 2 }} {{ 1 < 2 }} {{ 2 <= 2 }} {{ 3 > 2 }} {{ 3 >= 4 }} "
     "{{ 1 == true }}", {}),
    ("compare strings",
     "{{ 'a' < 'b' }} {{ 'Z' < 'a' }} {{ 'a' == 'a' }} {{ 'é' > 'z' }} {{ '1' == 1 }}", {}),
    ("compare lists and dicts",
     "{{ [1, 2] == [1, 2] }} {{ [1, 2] < [1, 3] }} {{ {'a': 1, 'b': 2} == {'b': 2, 'a': 1} }} "
     "{{ [1] == (1,) }}", {}),
    ("compare chain", "{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 < 2 == 2 }} {{ 3 > 2 > 1 != 0 }}", {}),
    ("compare unlike types", "{{ 1 < 'a' }}", {}),
    ("compare none",
     "{{ none == none }} {{ none != 0 }} {{ missing == none }} {{ missing == missing2 }}", {}),
    ("logic values",
     "{{ 0 or 'x' }} {{ 'a' and 'b' }} {{ '' or none }} {{ [] and 1 }} {{ not 0 }} "
     "{{ not 'a' }}", {}),
    ("logic precedence",
     "{{ true or false and false }} {{ not true or true }} {{ not (true and false) }} "
     "{{ not 1 == 2 }}", {}),
    ("logic short circuit", "{{ false and missing.a.b }}{{ true or missing.a.b }}", {}),
    ("logic truth of values",
     "{% for v in ['', 'a', 0, 1, 0.0, [], [0], {}, {'a': 1}, none] %}{{ 'T' if v else 'F' }}"
     "{% endfor %}", {}),
    ("membership",
     "{{ 1 in [1, 2] }} {{ 'b' in 'abc' }} {{ 'a' in {'a': 1} }} {{ 3 not in [1] }} "
     "{{ '' in 'a' }} {{ not 1 in [1] }}", {}),
    ("membership of unlike", "{{ 1 in 'abc' }}", {}),
    ("membership in none", "{{ 1 in none }}", {}),
    ("membership in undefined", "{{ 'a' in missing }}", {}),
    ("inline if",
     "{{ 'a' if t else 'b' }} {{ 'a' if z else 'b' if n > 5 else 'c' }} "
     "{{ ('x' if empty else 'y') ~ '!' }}", NUMBERS),
    # Access.
    ("access attribute and item",
     "{{ d.b }} {{ d['b'] }} {{ d[key].x[1].y }} {{ d.a.x[0] }}", TREE),
    ("access missing attribute",
     "[{{ d.nothing }}][{{ d['nothing'] }}][{{ xs[9] }}]", TREE | NUMBERS),
    ("access attribute of undefined", "{{ d.nothing.more }}", TREE),
    ("access item of undefined", "{{ missing['x'] }}", {}),
    ("access attribute of none", "[{{ d.C.more }}]", TREE),
    ("access integer key with dot", "{{ [[1, 2], 3].0.1 }}", {}),
    ("access negative index", "{{ xs[-1] }} {{ 'abc'[-2] }}", NUMBERS),
    ("access dict method name",
     "{{ d.items is defined }} {{ {'items': 5}.items is callable }} "
     "{{ {'items': 5}['items'] }}", TREE),
    ("access attribute of string", "[{{ 'abc'.nothing }}]", {}),
    ("access private attribute", "[{{ ''.__class__ }}]", {}),
    ("slice list",
     "{{ xs[1:] }} {{ xs[:1] }} {{ xs[:-1] }} {{ xs[::-1] }} {{ xs[::2] }} {{ xs[5:] }} "
     "{{ xs[-2:9] }}", NUMBERS),
    ("slice string",
     "{{ s[1:3] }} {{ s[::-1] }} {{ s[-3:] }} {{ s[:0] }}| {{ s[4:1:-1] }}", NUMBERS),
    ("slice unicode", "{{ uni[7:9] }} {{ uni[-1] }} {{ uni[::-1] }}", TEXT),
    ("slice step zero", "{{ xs[::0] }}", NUMBERS),
    # Statements.
    ("if elif else", "{% if n < 5 %}low{% elif n < 10 %}mid{% else %}high{% endif %}", NUMBERS),
    ("if nested", "{% if t %}{% if empty %}a{% else %}b{% endif %}c{% endif %}", NUMBERS),
    ("for list", "{% for x in xs %}{{ x }},{% endfor %}", NUMBERS),
    ("for string", "{% for c in 'añ🦊' %}<{{ c }}>{% endfor %}", {}),
    ("for dict keys", "{% for k in d %}{{ k }} {% endfor %}", TREE),
    ("for items", "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", TREE),
    ("for else",
     "{% for x in empty %}x{% else %}none{% endfor %}{% for x in xs %}{{ x }}{% else %}"
     "none{% endfor %}", NUMBERS),
    ("for if",
     "{% for x in range(10) if x is odd %}{{ loop.index }}:{{ x }} {% else %}no{% endfor %}", {}),
    ("for if none pass", "{% for x in xs if x > 9 %}x{% else %}no{% endfor %}", NUMBERS),
    ("for unpack pairs", "{% for a, b in [(1, 2), [3, 4]] %}{{ a }}-{{ b }} {% endfor %}", {}),
    ("for unpack nested",
     "{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}", {}),
    ("for unpack wrong count", "{% for a, b in [(1, 2, 3)] %}{{ a }}{% endfor %}", {}),
    ("for over undefined", "[{% for x in missing %}x{% endfor %}]", {}),
    ("for over none", "{% for x in none %}x{% endfor %}", {}),
    ("for over integer", "{% for x in 5 %}x{% endfor %}", {}),
    ("for nested loops",
     "{% for a in [1, 2] %}{% for b in 'xy' %}{{ loop.index }}{{ a }}{{ b }}{{ loop.last }} "
     "{% endfor %}{{ loop.index }};{% endfor %}", {}),
    ("loop counters",
     "{% for x in xs %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}"
     "{{ loop.revindex0 }}{{ loop.length }}{{ loop.first }}{{ loop.last }};{% endfor %}", NUMBERS),
    ("loop neighbours",
     "{% for x in xs %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }};{% endfor %}", NUMBERS),
    ("loop neighbours defined",
     "{% for x in xs %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }} "
     "{% endfor %}", NUMBERS),
    ("loop cycle", "{% for x in range(5) %}{{ loop.cycle('a', 'b', 'c') }}{% endfor %}", {}),
    ("loop changed", "{% for x in [1, 1, 2, 2, 1] %}{{ loop.changed(x) }} {% endfor %}", {}),
    ("loop depth", "{% for x in [1] %}{{ loop.depth }}{{ loop.depth0 }}{% endfor %}", {}),
    ("loop outside", "[{{ loop }}]", {}),
    ("loop saved outer",
     "{% for a in 'ab' %}{% set outer = loop %}{% for b in 'xy' %}{{ outer.index }}"
     "{{ loop.index }} {% endfor %}{% endfor %}", {}),
    ("loop recursive",
     "{% for x in [[1, [2]], 3] recursive %}{% if x is iterable %}({{ loop(x) }}){% else %}"
     "{{ x }}{% endif %}{% endfor %}", {}),
    ("break",
     "{% for x in range(10) %}{% if x == 3 %}{% break %}{% endif %}{{ x }}{% endfor %}", {}),
    ("continue",
     "{% for x in range(5) %}{% if x % 2 %}{% continue %}{% endif %}{{ x }}{% endfor %}", {}),
    ("break inner only",
     "{% for a in 'ab' %}{% for b in 'xyz' %}{% if b == 'y' %}{% break %}{% endif %}{{ a }}"
     "{{ b }} {% endfor %}{% endfor %}", {}),
    ("set simple", "{% set x = 5 %}{{ x + 1 }}{% set x = x * 2 %}{{ x }}", {}),
    ("set unpack", "{% set a, b = 1, 2 %}{{ b }}{{ a }}{% set c = 1, 2 %}{{ c }}", {}),
    ("set block", "{% set x %}a{{ 1 + 1 }}\nb{% endset %}[{{ x }}]{{ x | length }}", {}),
    ("set block filter", "{% set x | upper | trim %}  abc {% endset %}[{{ x }}]", {}),
    ("set inside for is local",
     "{% set x = 0 %}{% for i in range(3) %}{% set x = x + 1 %}{{ x }}{% endfor %}{{ x }}", {}),
    ("set inside if is not local", "{% if true %}{% set x = 1 %}{% endif %}{{ x }}", {}),
    ("set shadows context", "{{ n }}{% set n = 1 %}{{ n }}", NUMBERS),
    ("namespace",
     "{% set ns = namespace(a=1, b='x') %}{% for i in range(3) %}{% set ns.a = ns.a + i %}"
     "{% endfor %}{{ ns.a }}{{ ns.b }}[{{ ns.c }}]", {}),
    ("namespace new attribute",
     "{% set ns = namespace() %}{% set ns.found = true %}{{ ns.found }}", {}),
    ("namespace from dict", "{% set ns = namespace({'a': 2}, b=3) %}{{ ns.a + ns.b }}", {}),
    ("namespace underscore", "{% set ns = namespace() %}{% set ns._a = 1 %}", {}),
    ("set attribute of dict", "{% set d.b = 1 %}", TREE),
    ("with", "{% with a = 1, b = n %}{{ a }}{{ b }}{% endwith %}[{{ a }}]", NUMBERS),
    ("filter block", "{% filter upper %}abc {{ 'def' }}{% endfilter %}", {}),
    ("raw", "{% raw %}{{ x }} {% if %} {# c #}{% endraw %}!", {}),
    ("raw trimmed", "a {%- raw -%}  {{ x }}  {%- endraw -%} b", {}),
    ("comment", "a{# x {{ y }} {% if %} #}b{#- trimmed -#}  c", {}),
    ("do is not enabled", "{% do xs.append(1) %}", NUMBERS),
    ("generation block", "a{% generation %}b{{ 1 }}{% endgeneration %}c", {}),
    # Macros.
    ("macro simple",
     "{% macro f(a, b=2) %}{{ a }}-{{ b }};{% endmacro %}{{ f(1) }}{{ f(1, 3) }}"
     "{{ f(b=5, a=4) }}", {}),
    ("macro missing argument",
     "{% macro f(a, b) %}[{{ a }}|{{ b }}|{{ b is defined }}]{% endmacro %}{{ f(1) }}", {}),
    ("macro too many arguments", "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, 2) }}", {}),
    ("macro varargs kwargs",
     "{% macro f(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1, 2, 3, k=4) }}", {}),
    ("macro default refers to argument",
     "{% macro f(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ f(1) }}", {}),
    ("macro sees globals",
     "{% set g = 'x' %}{% macro f() %}{{ g }}{{ n }}{% endmacro %}{{ f() }}", NUMBERS),
    ("macro sees no loop variable",
     "{% macro f() %}[{{ i }}]{% endmacro %}{% for i in [1, 2] %}{{ f() }}{% endfor %}", {}),
    ("macro result is a string",
     "{% macro f() %} x {% endmacro %}{{ f() | trim | length }}{{ f() is string }}"
     "{{ f() ~ 'y' }}{{ 'a' + f() }}", {}),
    ("macro calls macro",
     "{% macro f(n) %}{% if n > 0 %}{{ n }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}", {}),
    ("macro name and arguments",
     "{% macro f(a, b) %}{% endmacro %}{{ f.name }} {{ f.arguments }}", {}),
    ("call block",
     "{% macro box(t) %}<{{ t }}>{{ caller() }}</{{ t }}>{% endmacro %}{% call box('b') %}"
     "in {{ 1 + 1 }}{% endcall %}", {}),
    ("call block with arguments",
     "{% macro each(xs) %}{% for x in xs %}{{ caller(x, loop.index) }}{% endfor %}"
     "{% endmacro %}{% call(x, i) each('ab') %}{{ i }}{{ x }} {% endcall %}", {}),
    ("call undefined function", "{{ nothing(1) }}", {}),
    ("call a string", "{{ s() }}", NUMBERS),
    # Whitespace. trim_blocks and lstrip_blocks are on.
    ("space trim blocks", "a\n{% if true %}\nb\n{% endif %}\nc\n", {}),
    ("space lstrip blocks", "a\n    {% if true %}\n  b\n    {% endif %}\nc", {}),
    ("space minus", "a  {%- if true -%}  b  {%- endif -%}  c {{- 'd' -}}  \n e", {}),
    ("space plus", "a\n  {%+ if true +%}\n b{% endif +%}\nc", {}),
    ("space expression keeps newline", "a\n{{ 'b' }}\nc\n", {}),
    ("space comment trim", "a\n  {# c #}\nb\n", {}),
    ("space last newline", "x\n", {}),
    ("space two last newlines", "x\n\n", {}),
    ("space carriage returns", "a\r\n{% if true %}\r\nb{% endif %}\r\n{{ 'c' }}\r\nd\r\n", {}),
    ("space lstrip not after text", "a {% if true %} b {% endif %} c", {}),
    ("space tabs before block", "a\n\t {% set x = 1 %}\n\t{{ x }}", {}),
    ("space minus keeps inner", "{{ '  a  ' }}|{{- '  b  ' -}}|", {}),
    ("space minus over newlines", "a\n\n\n{%- set x = 1 %}\n\n\nb", {}),
    # Filters.
    ("filter trim",
     "[{{ text | trim }}][{{ 'xxaxx' | trim('x') }}][{{ ' \\t\\n\\u00a0a\\u3000' | trim }}]", TEXT),
    ("filter case",
     "{{ 'aBc Def' | upper }} {{ 'aBc' | lower }} {{ 'aBc dEF' | capitalize }} "
     "{{ \"it's a-b c_d\" | title }}", {}),
    ("filter case unicode",
     "{{ 'straße Éa σς' | upper }} {{ 'ÀÉ' | lower }} {{ 'éa' | capitalize }}", {}),
    ("filter length",
     "{{ xs | length }} {{ s | length }} {{ {} | length }} {{ uni | length }} {{ xs | count }}",
     NUMBERS | TEXT),
    ("filter length of number", "{{ n | length }}", NUMBERS),
    ("filter length of undefined", "{{ missing | length }}", {}),
    ("filter default",
     "{{ missing | default('d') }} {{ '' | default('d') }}| {{ '' | default('d', true) }} "
     "{{ none | default('d') }} {{ none | d('x', boolean=true) }} {{ missing | default }}|", {}),
    ("filter default of attribute",
     "{{ d.q | default('d') }} {{ (d.a or {}).q | default('e') }} {{ d.C | default('f') }}", TREE),
    ("filter default after undefined", "{{ d.q.r | default('d') }}", TREE),
    ("filter first last",
     "{{ xs | first }} {{ xs | last }} {{ s | first }} {{ s | last }} [{{ empty | first }}]",
     NUMBERS),
    ("filter join",
     "{{ xs | join(', ') }} {{ xs | join }} {{ [1, none, 'a', 2.0] | join('-') }} "
     "{{ people | join('/', attribute='name') }} {{ 'abc' | join('.') }}", NUMBERS | PEOPLE),
    ("filter replace",
     "{{ 'aaa' | replace('a', 'b') }} {{ 'aaa' | replace('a', 'b', 2) }} "
     "{{ 'abc' | replace('', '-') }}", {}),
    ("filter string",
     "{{ 1 | string ~ 2.0 | string }} {{ none | string | length }} {{ [1] | string }}", {}),
    ("filter int",
     "{{ '42' | int }} {{ '4.9' | int }} {{ 'x' | int }} {{ 'x' | int(7) }} {{ 3.99 | int }} "
     "{{ -3.99 | int }} {{ '0x1f' | int(base=16) }} {{ ' 5 ' | int }} {{ true | int }}", {}),
    ("filter float",
     "{{ '4.5' | float }} {{ 'x' | float }} {{ 'x' | float(1.5) }} {{ 3 | float }} "
     "{{ '1e3' | float }}", {}),
    ("filter round",
     "{{ 2.5 | round }} {{ 3.5 | round }} {{ 2.675 | round(2) }} "
     "{{ 2.1 | round(method='ceil') }} {{ 2.9 | round(0, 'floor') }} {{ 1234 | round(-2) }} "
     "{{ 7 | round }}", {}),
    ("filter abs", "{{ -3 | abs }} {{ (-3) | abs }} {{ -2.5 | abs }}", {}),
    ("filter list",
     "{{ 'abc' | list }} {{ (1, 2) | list }} {{ d | list }} {{ range(3) | list }}", TREE),
    ("filter items",
     "{{ d | items | list }} {% for k, v in {'a': 1} | items %}{{ k }}{{ v }}{% endfor %}"
     "{{ missing | items | list }}", TREE),
    ("filter dictsort",
     "{{ d | dictsort }} {{ {'b': 1, 'A': 2} | dictsort }} "
     "{{ {'b': 1, 'A': 2} | dictsort(true) }} {{ {'a': 2, 'b': 1} | dictsort(by='value') }} "
     "{{ {'a': 2, 'b': 1} | dictsort(reverse=true) }}", TREE),
    ("filter sort",
     "{{ xs | sort }} {{ xs | sort(reverse=true) }} {{ ['b', 'A', 'c'] | sort }} "
     "{{ ['b', 'A', 'c'] | sort(case_sensitive=true) }}", NUMBERS),
    ("filter sort attribute",
     "{{ people | sort(attribute='age') | map(attribute='name') | list }} "
     "{{ people | sort(attribute='age,name') | map(attribute='name') | list }}", PEOPLE),
    ("filter sort unlike types", "{{ [1, 'a'] | sort }}", {}),
    ("filter unique",
     "{{ [1, 2, 1, 3, 2] | unique | list }} {{ ['a', 'A', 'b'] | unique | list }} "
     "{{ people | unique(attribute='age') | map(attribute='name') | list }}", PEOPLE),
    ("filter reverse", "{{ xs | reverse | list }} {{ s | reverse }}", NUMBERS),
    ("filter map attribute",
     "{{ people | map(attribute='name') | join(',') }} "
     "{{ people | map(attribute='tags') | list }} "
     "{{ people | map(attribute='zip', default='?') | list }}", PEOPLE),
    ("filter map filter",
     "{{ ['a', 'b'] | map('upper') | list }} {{ ['1', '2'] | map('int') | sum }} "
     "{{ ['ab', 'cb'] | map('replace', 'b', 'x') | list }}", {}),
    ("filter map nested attribute",
     "{{ [{'a': {'b': 1}}, {'a': {'b': 2}}] | map(attribute='a.b') | list }} "
     "{{ [[1, 2], [3, 4]] | map(attribute=1) | list }}", {}),
    ("filter select reject",
     "{{ [0, 1, 2, 3] | select('odd') | list }} {{ [0, 1, 2, none] | select | list }} "
     "{{ [0, 1, 2, 3] | reject('odd') | list }} {{ [1, 5, 9] | select('>', 4) | list }} "
     "{{ [0, 1] | reject | list }}", {}),
    ("filter selectattr",
     "{{ people | selectattr('role', 'equalto', 'user') | map(attribute='name') | list }} "
     "{{ people | selectattr('tags') | list | length }} "
     "{{ people | selectattr('age', 'gt', 30) | map(attribute='name') | list }} "
     "{{ people | selectattr('zip', 'defined') | list }}", PEOPLE),
    ("filter rejectattr",
     "{{ people | rejectattr('role', '==', 'user') | map(attribute='name') | list }} "
     "{{ people | rejectattr('tags') | map(attribute='name') | list }} "
     "{{ people | rejectattr('role', 'in', ['tool']) | list | length }}", PEOPLE),
    ("filter groupby",
     "{% for age, group in people | groupby('age') %}{{ age }}"
     ":{{ group | map(attribute='name') | join('+') }} {% endfor %}", PEOPLE),
    ("filter batch slice",
     "{{ range(5) | batch(2) | list }} {{ range(5) | batch(2, 'x') | list }} "
     "{{ range(5) | slice(2) | list }}", {}),
    ("filter sum min max",
     "{{ xs | sum }} {{ xs | min }} {{ xs | max }} {{ people | sum(attribute='age') }} "
     "{{ [] | sum }} [{{ [] | max }}] {{ ['b', 'A'] | min }}", NUMBERS | PEOPLE),
    ("filter indent",
     "{{ lines | indent }}|{{ 'a\\n\\nb' | indent(2) }}|{{ 'a\\n\\nb' | indent(2, true) }}"
     "|{{ 'a\\n\\nb' | indent(2, blank=true) }}|{{ 'a\\nb' | indent('> ', first=true) }}", TEXT),
    ("filter escape safe",
     "{{ html | e }} {{ html | escape }} {{ html | safe }} {{ (html | e) ~ '<' }} "
     "{{ ('<a>' | safe) + '<b>' }} {{ html | forceescape }}", TEXT),
    ("filter striptags", "{{ '<p>a  <b>b</b></p> c' | striptags }}", {}),
    ("filter wordcount", "{{ 'one two  three-four' | wordcount }}", {}),
    ("filter truncate",
     "{{ 'foo bar baz qux' | truncate(9) }} {{ 'foo bar baz qux' | truncate(9, true) }} "
     "{{ 'foo bar baz qux' | truncate(11) }} {{ 'foo bar' | truncate(3, true, '', 0) }}", {}),
    ("filter center", "[{{ 'ab' | center(7) }}]", {}),
    ("filter format",
     "{{ '%s is %d, %.2f, %05d, %x, %%' | format('a', 3, 2.5, 42, 255) }} "
     "{{ '%(a)s' | format(a=1) }}", {}),
    ("filter attr", "[{{ d | attr('b') }}]", TREE),
    ("filter urlencode",
     "{{ 'a b/c?d=é&' | urlencode }} {{ {'a': 1, 'b': 'x y'} | urlencode }}", {}),
    ("filter wordwrap", "{{ 'the quick brown fox jumps' | wordwrap(10) }}", {}),
    ("filter filesizeformat", "{{ 1000 | filesizeformat }} {{ 123456789 | filesizeformat }}", {}),
    ("filter chain", "{{ text | trim | upper | replace('W', 'v') | list | length }}", TEXT),
    ("filter on parenthesis", "{{ (1, 2) | join('+') }} {{ ('a' ~ 'b') | upper }}", {}),
    ("filter unknown", "{{ 1 | nothing }}", {}),
    ("filter unknown in dead branch", "a{% if false %}{{ 1 | nothing }}{% endif %}b", {}),
    # tojson, as transformers has it.
    ("tojson scalars",
     "{{ none | tojson }} {{ true | tojson }} {{ 1 | tojson }} {{ 1.0 | tojson }} "
     "{{ 1e-7 | tojson }} {{ 1e22 | tojson }} {{ 'a' | tojson }}", {}),
    ("tojson string escapes", "{{ 'a\"b\\\\c/d\\n\\t\\r\\b\\f\\x00\\x1f\\x7f' | tojson }}", {}),
    ("tojson unicode html",
     "{{ uni | tojson }} {{ html | tojson }} {{ '\\u2028' | tojson }}", TEXT),
    ("tojson nested",
     "{{ d | tojson }} {{ [] | tojson }} {{ {} | tojson }} {{ [[], {}] | tojson }} "
     "{{ (1, 2) | tojson }}", TREE),
    ("tojson indent",
     "{{ d | tojson(indent=2) }}\n{{ [] | tojson(indent=2) }}{{ {} | tojson(indent=4) }}"
     "{{ [[]] | tojson(indent=1) }}{{ [1] | tojson(indent=0) }}", TREE),
    ("tojson indent positional", "{{ {'a': [1]} | tojson(false, 3) }}", {}),
    ("tojson separators",
     "{{ {'a': [1, 2]} | tojson(separators=(',', ':')) }} "
     "{{ {'a': [1, 2]} | tojson(indent=1, separators=(',', ': ')) }}", {}),
    ("tojson sort keys", "{{ {'b': 1, 'a': {'d': 1, 'c': 2}} | tojson(sort_keys=true) }}", {}),
    ("tojson ensure ascii", "{{ 'é🦊' | tojson(ensure_ascii=true) }}", {}),
    ("tojson odd keys", "{{ {1: 'a', none: 'b', true: 'c', 2.5: 'd'} | tojson }}", {}),
    ("tojson undefined", "{{ missing | tojson }}", {}),
    ("tojson macro result", "{% macro f() %}<x>{% endmacro %}{{ f() | tojson }}", {}),
    # Tests.
    ("test defined",
     "{{ n is defined }} {{ missing is defined }} {{ missing is undefined }} "
     "{{ n is not undefined }} {{ d.q is defined }} {{ z is defined }}", NUMBERS | TREE),
    ("test types",
     "{% for v in [1, 1.5, 'a', [1], {'a': 1}, none, true, (1,)] %}{{ v is string }}"
     ",{{ v is number }},{{ v is integer }},{{ v is float }},{{ v is boolean }}"
     ",{{ v is mapping }},{{ v is sequence }},{{ v is iterable }},{{ v is none }}"
     ",{{ v is callable }}\n{% endfor %}", {}),
    ("test true false",
     "{{ true is true }} {{ 1 is true }} {{ false is false }} {{ 0 is false }} "
     "{{ none is false }}", {}),
    ("test numbers",
     "{{ 3 is odd }} {{ 4 is even }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(2) }}", {}),
    ("test comparison",
     "{{ 1 is eq 1 }} {{ 1 is equalto 2 }} {{ 1 is sameas 1 }} {{ 2 is gt 1 }} "
     "{{ 2 is lt(1) }} {{ 1 is ne 2 }} {{ 2 is ge 2 }} {{ 2 is le 1 }} {{ 1 is in [1, 2] }}", {}),
    ("test case", "{{ 'ABC' is upper }} {{ 'abc' is lower }} {{ 'aBc' is upper }}", {}),
    ("test sequence of undefined",
     "{{ missing is iterable }} {{ missing is sequence }} {{ missing is string }} "
     "{{ missing is none }} {{ missing is mapping }}", {}),
    ("test precedence",
     "{{ not n is string }} {{ n is not string and true }} {{ 1 + 1 is even }} "
     "{{ n is number == true }}", NUMBERS),
    ("test filter and test names",
     "{{ 'upper' is filter }} {{ 'nothing' is filter }} {{ 'odd' is test }}", {}),
    ("test escaped", "{{ '<' is escaped }} {{ ('<' | e) is escaped }}", {}),
    ("test unknown", "{{ 1 is nothing }}", {}),
    # Methods of strings, lists and dicts.
    ("method strip",
     "[{{ ' a '.strip() }}][{{ 'xxaxy'.strip('xy') }}][{{ ' a '.lstrip() }}"
     "][{{ ' a '.rstrip() }}][{{ '\\n\\na\\n'.lstrip('\\n') }}][{{ 'abcab'.rstrip('ba') }}]", {}),
    ("method split",
     "{{ csv.split(',') }} {{ csv.split(',', 1) }} {{ ' a  b '.split() }} "
     "{{ 'a--b'.split('--') }} {{ ''.split(',') }} {{ ''.split() }} {{ csv.rsplit(',', 1) }}",
     TEXT),
    ("method split empty separator", "{{ 'abc'.split('') }}", {}),
    ("method splitlines", "{{ lines.splitlines() }} {{ lines.splitlines(true) }}", TEXT),
    ("method partition",
     "{{ 'a=b=c'.partition('=') }} {{ 'a=b=c'.rpartition('=') }} {{ 'abc'.partition('=') }}", {}),
    ("method starts ends",
     "{{ s.startswith('He') }} {{ s.endswith('lo') }} {{ s.startswith(('x', 'H')) }} "
     "{{ s.startswith('l', 2) }} {{ s.endswith('') }}", NUMBERS),
    ("method replace", "{{ 'a.b.c'.replace('.', '-') }} {{ 'a.b.c'.replace('.', '', 1) }}", {}),
    ("method case",
     "{{ 'aBc'.upper() }} {{ 'aBc'.lower() }} {{ \"they're bill's\".title() }} "
     "{{ 'aBC dE'.capitalize() }} {{ 'aBc'.swapcase() }} {{ 'ß'.upper() }} "
     "{{ 'ẞ'.casefold() }}", {}),
    ("method find",
     "{{ s.find('l') }} {{ s.find('z') }} {{ s.rfind('l') }} {{ s.index('e') }} "
     "{{ s.count('l') }} {{ uni.find('界') }}", NUMBERS | TEXT),
    ("method index missing", "{{ s.index('z') }}", NUMBERS),
    ("method join", "{{ ', '.join(['a', 'b']) }} {{ ''.join('abc') }} {{ '-'.join([]) }}|", {}),
    ("method join numbers", "{{ ','.join([1, 2]) }}", {}),
    ("method format",
     "{{ '{} {}'.format('a', 1) }} {{ '{1}{0}'.format('a', 'b') }} {{ '{x}'.format(x=5) }} "
     "{{ '{:>5}|{:<4}|{:^5}|{:05d}|{:.2f}|{:,}'.format('a', 'b', 'c', 42, 2.5, 1234567) }} "
     "{{ '{{}}'.format() }}", {}),
    ("method is",
     "{{ 'abc'.isalpha() }} {{ '12'.isdigit() }} {{ 'a1'.isalnum() }} {{ ' '.isspace() }} "
     "{{ 'A'.isupper() }} {{ 'a'.islower() }} {{ ''.isdigit() }} {{ '1.5'.isnumeric() }}", {}),
    ("method pad",
     "[{{ 'a'.ljust(3) }}][{{ 'a'.rjust(3, '.') }}][{{ 'a'.center(4) }}][{{ '7'.zfill(3) }}"
     "][{{ '-7'.zfill(4) }}]", {}),
    ("method remove prefix suffix",
     "{{ 'foobar'.removeprefix('foo') }} {{ 'foobar'.removesuffix('bar') }} "
     "{{ 'foobar'.removeprefix('x') }}", {}),
    ("method expandtabs encode", "[{{ 'a\\tb'.expandtabs(4) }}]", {}),
    ("method dict",
     "{{ d.keys() | list }} {{ d.values() | list }} {{ d.items() | list }} {{ d.get('b') }} "
     "{{ d.get('q') }} {{ d.get('q', 'dflt') }}", TREE),
    ("method dict views print",
     "{{ {'a': 1}.keys() }} {{ {'a': 1}.values() }} {{ {'a': 1}.items() }}", {}),
    ("method dict change refused", "{{ d.update({'x': 1}) }}", TREE),
    ("method dict pop refused", "{{ d.pop('b') }}", TREE),
    ("method list", "{{ xs.index(2) }} {{ xs.count(1) }} {{ xs.copy() }}", NUMBERS),
    ("method list append refused", "{{ xs.append(1) }}", NUMBERS),
    ("method list pop refused", "{{ xs.pop() }}", NUMBERS),
    ("method list sort refused", "{{ xs.sort() }}", NUMBERS),
    ("method unknown", "{{ s.nothing() }}", NUMBERS),
    ("method too many arguments", "{{ s.upper(1) }}", NUMBERS),
    ("percent formatting",
     "{{ '%s=%d' % ('a', 3) }} {{ '%5.1f|%-4s|%04d' % (2.25, 'x', 7) }} {{ '%s' % 'one' }} "
     "{{ '%r' % 'q' }}", {}),
    ("percent formatting mismatch", "{{ '%s %s' % 'a' }}", {}),
    # Global functions.
    ("range",
     "{{ range(3) | list }} {{ range(1, 4) | list }} {{ range(5, 0, -2) | list }} "
     "{{ range(0) | list }} {{ range(3) }} {{ range(3) | length }} {{ range(9)[2] }}", {}),
    ("range too large", "{{ range(100001) | length }}", {}),
    ("dict function",
     "{{ dict(a=1, b='x') }} {{ dict({'a': 1}, b=2) }} {{ dict([('k', 'v')]) }}", {}),
    ("cycler",
     "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}"
     "{% set _ = c.reset() %}{{ c.next() }}", {}),
    ("joiner", "{% set j = joiner(', ') %}{% for x in xs %}{{ j() }}{{ x }}{% endfor %}", NUMBERS),
    ("lipsum is defined",
     "{{ lipsum is defined }} {{ cycler is defined }} {{ joiner is defined }} "
     "{{ range is callable }} {{ namespace is defined }}", {}),
    ("raise exception", "a{{ raise_exception('stop: ' ~ n) }}b", NUMBERS),
    ("strftime now",
     "{{ strftime_now('%Y-%m-%d %H:%M:%S %j %a %A %b %B %d %e %I %p %y %%') }}", {}),
    # Shapes that occur in chat templates.
    ("chat roles alternate",
     "{% for m in people %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}X{% else %}"
     "ok{% endif %} {% endfor %}", PEOPLE),
    ("chat set message list",
     "{% set rest = people[1:] %}{{ rest | length }}{% set last = people | last %}"
     "{{ last.name }}{{ people[-1]['tags'][0] }}", PEOPLE),
    ("chat content parts",
     "{% for p in [{'type': 'text', 'text': 'a'}, {'type': 'image'}] %}"
     "{% if p['type'] == 'text' %}{{ p['text'] | trim }}{% elif 'image' in p.type %}"
     "<img>{% endif %}{% endfor %}", {}),
    ("chat think split",
     "{% set c = '<think>\\nplan\\n</think>\\n\\nanswer' %}"
     "{{ c.split('</think>')[-1].lstrip('\\n') }}"
     "|{{ c.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') }}", {}),
    ("chat flag idiom",
     "{% if not flag is defined %}{% set flag = false %}{% endif %}{{ flag }}", {}),
    ("chat reverse search",
     "{% set ns = namespace(i=-1) %}{% for m in people[::-1] %}"
     "{% if ns.i < 0 and m.role == 'tool' %}{% set ns.i = people | length - 1 - loop.index0 %}"
     "{% endif %}{% endfor %}{{ ns.i }}", PEOPLE),
    ("chat tool call json",
     "{{- '{\"name\": \"' + 'f' + '\", \"arguments\": ' + ({'a': 1} | tojson) + '}' -}}", {}),
    ("chat dictionary of types",
     "{% set types = {'string': 'str', 'number': 'float'} %}{{ types['string'] }}"
     "{{ types.get('x', 'any') }}{{ types[missing] }}", {}),
    ("chat selectattr last",
     "{{ (people | selectattr('role', 'equalto', 'user') | list)[-1].name }} "
     "{{ (people | map(attribute='role') | list).index('tool') }}", PEOPLE),
    # Syntax errors.
    ("error unclosed block", "{% if true %}a", {}),
    ("error unclosed expression", "a{{ 1 + ", {}),
    ("error unknown tag", "{% nothing %}", {}),
    ("error stray end", "a{% endif %}", {}),
    ("error unclosed string", "{{ 'abc }}", {}),
    ("error unclosed comment", "a{# b", {}),
    ("error bad operator", "{{ 1 && 2 }}", {}),
    ("error empty expression", "{{ }}", {}),
    ("error wrong bracket", "{{ (1] }}", {}),
    ("error else twice", "{% if 1 %}a{% else %}b{% else %}c{% endif %}", {}),
    ("error set without value", "{% set x %}", {}),
    ("error break outside", "a{% break %}b", {}),
    ("error two values", "{{ 1 2 }}", {}),
    ("error assignment to literal", "{% set 1 = 2 %}", {}),
    ("error reserved name", "{% set true = 2 %}", {}),
    ("empty template", "", {}),
    ("only text", "plain text, nothing else\n", {}),
]
