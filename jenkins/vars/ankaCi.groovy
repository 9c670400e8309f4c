// What the variables of this library have in common: ankaPull, ankaShow, ankaPipeline and the others call `step`.
//
// The only Groovy with logic. Values never enter a script: they travel in the environment, and the text that `sh` runs
// is always the same, resources/anka-ci/run.sh. Needs no plugin beyond Pipeline and Credentials Binding, and no script
// approval; nothing here catches an exception, so an aborted build stays aborted. What the agent needs is told in
// README.md.

import com.cloudbees.groovy.cps.NonCPS

/**
 * Run one step (or run, plan or check of a pipeline file) on the agent; its outputs.
 *
 * `inputs` holds for each argument the input's key and its kind: 'text', 'value', or that of a credential, for which the
 * key is the variable that anka-ci reads (two of them, parted by a space, where a credential has two parts). In the
 * outputs texts and numbers are text, true and false are Booleans, and lists lists.
 */
Map step(String name, Map inputs, Object args) {
    Map all = named(name, args)
    if (inputs.containsKey('jobStatus') && !all.containsKey('jobStatus')) {
        all = [jobStatus: currentBuild.currentResult] + all
    }
    Map given = arrange(name, inputs, all)
    if (given.problem) {
        error("anka-ci ${name}: ${given.problem}")
    }
    if (!isUnix()) {
        error("anka-ci ${name}: runs on macOS and Linux agents only")
    }
    // Beside the workspace, so that nobody commits or archives it by mistake; a folder for each call, for `parallel`.
    String folder = pwd(tmp: true) + '/anka-ci-' + UUID.randomUUID().toString()
    String outputs = folder + '/outputs'
    String installer = folder + '/install.py'
    boolean large = given.json.length() > 96 * 1024 // Linux takes 128 KiB in one variable
    String file = large ? folder + '/inputs.json' : ''
    List environment = [
        'ANKA_CI_STEP=' + name,
        'ANKA_CI_VERSION=' + ankaVersion(),
        'ANKA_CI_INSTALLER=' + installer,
        'ANKA_CI_INPUTS=' + (large ? '' : given.json),
        'ANKA_CI_INPUTS_FILE=' + file,
        'ANKA_CI_OUTPUTS=' + outputs,
    ]
    int status = withSecrets(given.secrets) {
        writeFile(file: installer, text: libraryResource('anka-ci/install.py'), encoding: 'UTF-8')
        if (large) {
            writeFile(file: file, text: given.json, encoding: 'UTF-8')
        }
        withEnv(environment) {
            sh(script: libraryResource('anka-ci/run.sh'), returnStatus: true, encoding: 'UTF-8', label: 'anka-ci ' + name)
        }
    }
    Map report = [facts: [:], outputs: [:]]
    if (fileExists(outputs)) {
        report = read(readFile(file: outputs, encoding: 'UTF-8'))
    }
    dir(folder) {
        deleteDir()
    }
    String what = "anka-ci ${name}" + (report.facts['class'] ? " (${report.facts['class']}): " : ': ')
    String message = what + (report.facts.message ?: "ended with exit code ${status}; the log above tells why")
    if (status == 9) { // it looked for changes and found some: no failure, and not what was hoped for either
        unstable(message)
        return report.outputs
    }
    if (status == 130) { // somebody interrupted the command, not the build
        currentBuild.result = 'ABORTED'
    }
    if (status != 0) {
        error(message)
    }
    if (!report.facts) {
        error("anka-ci ${name}: ended well, but there is no ${outputs}; is that anka-ci of this library's version?")
    }
    return report.outputs
}

/** Run, plan or check a pipeline file; for each of its steps, by id, a map of its outputs. */
Map pipeline(Map inputs, Object args) {
    Map rest = [:] + named('run', args)
    String command = rest.containsKey('command') ? rest.command : 'run'
    if (!['run', 'plan', 'check'].contains(command)) {
        error("ankaPipeline: command is run, plan or check, not ${command}")
    }
    rest.remove('command')
    if (rest.set instanceof Map) {
        rest.set = pairs(rest.set)
    }
    return step(command, inputs, rest)
}

/** The arguments, which have to have names. */
Map named(String name, Object args) {
    if (!(args instanceof Map)) {
        error("anka-ci ${name}: arguments have names, as in ankaShow(template: 'sonoma'); this one has none: ${args}")
    }
    return args
}

/** Run the body with each credential in variables of its own, masked in the log by Jenkins. */
def withSecrets(List secrets, Closure body) {
    if (secrets.isEmpty()) {
        return body()
    }
    List bindings = []
    for (int i = 0; i < secrets.size(); i++) {
        String id = secrets[i].id
        String one = secrets[i].first
        String two = secrets[i].second
        String kind = secrets[i].kind
        if (kind == 'file') {
            bindings << file(credentialsId: id, variable: one)
        } else if (kind == 'certificate') {
            bindings << certificate(credentialsId: id, keystoreVariable: one, passwordVariable: two)
        } else if (kind == 'pair') {
            bindings << usernamePassword(credentialsId: id, usernameVariable: one, passwordVariable: two)
        } else if (kind == 'user') {
            bindings << usernameColonPassword(credentialsId: id, variable: one)
        } else {
            bindings << string(credentialsId: id, variable: one)
        }
    }
    return withCredentials(bindings) {
        body()
    }
}

/** The arguments as one JSON object and the credentials to bind; or the problem with them. */
@NonCPS
Map arrange(String name, Map inputs, Map args) {
    List members = []
    List secrets = []
    for (Object key : args.keySet()) {
        String argument = key.toString()
        Object value = args.get(key)
        List input = inputs.get(argument)
        if (input == null) {
            return [problem: "unknown argument '${argument}'; ${suggestion(argument, inputs)}".toString()]
        }
        String problem = problemOf(value, input.get(1))
        if (problem) {
            return [problem: "${argument} ${problem}".toString()]
        }
        if (credential(input.get(1))) {
            String variables = input.get(0)
            int space = variables.indexOf(' ')
            String first = space < 0 ? variables : variables.substring(0, space)
            String second = space < 0 ? '' : variables.substring(space + 1)
            secrets.add([id: value.toString(), kind: input.get(1), first: first, second: second])
        } else {
            members.add(quoted(input.get(0)) + ':' + json(value))
        }
    }
    return [json: '{' + String.join(',', members) + '}', secrets: secrets]
}

/** In words, the credential that an argument of the kind names; empty for an argument that is no credential. */
@NonCPS
String credential(String kind) {
    Map words = [
        secret: 'secret text', file: 'secret file', certificate: 'certificate',
        pair: 'username with password', user: 'username with password',
    ]
    return words.containsKey(kind) ? words.get(kind) : ''
}

/** What is wrong with an argument's value, if anything; anka-ci says the rest. */
@NonCPS
String problemOf(Object value, String kind) {
    if (value == null) {
        return 'is null; leave it out if you do not mean to choose'
    }
    if (credential(kind)) {
        boolean named = value instanceof CharSequence && value.toString().trim()
        return named ? '' : "has to be the id of a ${credential(kind)} credential".toString()
    }
    if (value instanceof Number) { // 13.10 is the number 13.1
        return kind == 'text' ? "wants text, not the number ${value}; put it in quotes".toString() : ''
    }
    if (value instanceof Collection || value instanceof Object[]) {
        for (Object item : value) {
            if (item instanceof Collection || item instanceof Map || item instanceof Object[]) {
                return 'has an item that is a list or a map, and wants text'
            }
            String problem = problemOf(item, kind)
            if (problem) {
                return 'has an item that ' + problem
            }
        }
        return ''
    }
    boolean fine = value instanceof CharSequence || value instanceof Boolean || value instanceof Map
    return fine ? '' : "wants text, a number, true or false, or a list, not a ${value.getClass().getSimpleName()}".toString()
}

/** The nearest argument, where one is near, and all there are. */
@NonCPS
String suggestion(String argument, Map inputs) {
    if (inputs.containsKey(argument + 'CredentialsId')) {
        return "give the id of a secret text credential as ${argument}CredentialsId".toString()
    }
    String near = ''
    int best = 3
    String sought = argument.replaceAll('[-_]', '').toLowerCase(Locale.ROOT)
    for (Object known : inputs.keySet()) {
        int far = distance(sought, known.toString().toLowerCase(Locale.ROOT))
        if (far < best) {
            best = far
            near = known.toString()
        }
    }
    String all = 'there is ' + String.join(', ', inputs.keySet())
    return near ? "did you mean '${near}'? ${all}".toString() : all
}

/** How many letters have to be put in, taken out or changed to make one text of the other. */
@NonCPS
int distance(String one, String other) {
    List row = []
    for (int j = 0; j <= other.length(); j++) {
        row.add(j)
    }
    for (int i = 1; i <= one.length(); i++) {
        List next = [i]
        for (int j = 1; j <= other.length(); j++) {
            int changed = row.get(j - 1) + (one.charAt(i - 1) == other.charAt(j - 1) ? 0 : 1)
            next.add(Math.min(changed, Math.min(row.get(j) + 1, next.get(j - 1) + 1)))
        }
        row = next
    }
    return row.get(other.length())
}

/** A map of parameters as anka-ci takes them: name=value. A value that is no text is refused with the list. */
@NonCPS
List pairs(Map values) {
    List found = []
    for (Object key : values.keySet()) {
        Object value = values.get(key)
        boolean text = value instanceof CharSequence || value instanceof Boolean
        found.add(text ? key.toString() + '=' + value.toString() : value)
    }
    return found
}

/** A value as JSON. */
@NonCPS
String json(Object value) {
    if (value instanceof CharSequence) {
        return quoted(value.toString())
    }
    List parts = []
    if (value instanceof Map) {
        for (Object key : value.keySet()) {
            parts.add(quoted(key.toString()) + ':' + json(value.get(key)))
        }
        return '{' + String.join(',', parts) + '}'
    }
    if (value instanceof Collection || value instanceof Object[]) {
        for (Object item : value) {
            parts.add(json(item))
        }
        return '[' + String.join(',', parts) + ']'
    }
    return value.toString()
}

/** A text as a JSON string of ASCII letters and digits; all else is escaped: `withEnv` would expand a dollar sign. */
@NonCPS
String quoted(String text) {
    StringBuilder out = new StringBuilder()
    out.append('"')
    for (int i = 0; i < text.length(); i++) {
        int code = (int) text.charAt(i)
        boolean plain = code >= 48 && code <= 57 || code >= 65 && code <= 90 || code >= 97 && code <= 122
        if (plain || code == 32 || code == 45 || code == 46 || code == 47 || code == 95) {
            out.append(text.substring(i, i + 1))
        } else {
            String digits = '0000' + Integer.toString(code, 16)
            out.append('\\u' + digits.substring(digits.length() - 4))
        }
    }
    return out.append('"').toString()
}

/** The outputs file, as anka_ci_jenkins/report.py writes it: `facts` of the result, and the outputs. */
@NonCPS
Map read(String text) {
    Map facts = [:]
    Map outputs = [:]
    for (String line : text.split('\n')) {
        int space = line.indexOf(' ')
        int equals = line.indexOf('=')
        String kind = line.substring(0, space)
        String key = line.substring(space + 1, equals)
        String value = line.substring(equals + 1).replace('%0A', '\n').replace('%0D', '\r').replace('%25', '%')
        Map place = kind == 'fact' ? facts : outputs
        int dot = key.indexOf('.')
        if (dot > 0) { // of a step of a pipeline file
            place = outputs.get(key.substring(0, dot))
            key = key.substring(dot + 1)
        }
        if (kind == 'step') {
            place.put(key, [:])
        } else if (kind == 'list') {
            place.put(key, [])
        } else if (kind == 'item') {
            place.get(key).add(value)
        } else {
            place.put(key, kind == 'flag' ? value == 'true' : value)
        }
    }
    return [facts: facts, outputs: outputs]
}
