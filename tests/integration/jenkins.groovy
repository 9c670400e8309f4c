// Calls the variables of jenkins/vars in real Groovy, with pipeline steps that do for real what Jenkins' own do.
//
// groovy jenkins.groovy REQUEST ANSWERS: both are JSON files. A request names the variables' folder, a workspace, the
// agent's environment, the credentials, values for the cases, and the cases: pieces of a Jenkinsfile. `sh` runs its text
// by `sh -xe` from a file, `withEnv` expands $NAME in values, as Jenkins does.
//
// With `cps`, Jenkins' own transformation and sandbox (groovy-cps, groovy-sandbox on the class path) are applied to
// every variable: a step suspends the program, which has to be serializable then, and each call is noted that the
// sandbox would look up in its list.

import groovy.json.JsonOutput
import groovy.json.JsonSlurperClassic
import org.codehaus.groovy.control.CompilerConfiguration

class AbortException extends Exception {
    AbortException(String message) { super(message) }
}

class FlowInterruptedException extends Exception {
    FlowInterruptedException(String message) { super(message) }
}

class CredentialNotFoundException extends Exception {
    CredentialNotFoundException(String message) { super(message) }
}

/** The pipeline steps that the variables may call, and what they work on; any other is a missing method. */
class Steps {
    static final NAMES = ['sh', 'echo', 'error', 'isUnix', 'pwd', 'fileExists', 'readFile', 'writeFile', 'dir',
                          'deleteDir', 'withEnv', 'withCredentials', 'libraryResource', 'unstable', 'string', 'file',
                          'certificate', 'usernamePassword', 'usernameColonPassword', 'node', 'timeout', 'lock',
                          'checkout'] as Set
    static File resources
    File workspace
    Map environment
    Map credentials
    String abortAt
    boolean unix = true
    Map build = [result: null, currentResult: 'SUCCESS']
    List<String> here = []
    StringBuilder log = new StringBuilder()
    List ran = []
    List called = []

    int sh(Map step) {
        assert step.returnStatus && step.keySet() == ['script', 'returnStatus', 'encoding', 'label'] as Set
        ran << [label: step.label, environment: environment.findAll { it.key.startsWith('ANKA_CI_') }]
        File script = File.createTempFile('script', '.sh')
        File number = File.createTempFile('script', '.pid')
        script.setText(step.script, 'UTF-8')
        List words = ['sh', '-c', 'echo $$ >"$1"; exec sh -xe "$0"', script.path, number.path]
        ProcessBuilder builder = new ProcessBuilder(words).directory(workspace).redirectErrorStream(true)
        builder.environment().clear()
        builder.environment().putAll(environment)
        Process process = builder.start()
        process.outputStream.close()
        boolean aborted = false
        process.inputStream.eachLine('UTF-8') { line ->
            log.append(line).append('\n')
            if (abortAt && !aborted && line.contains(abortAt)) {
                aborted = true
                ['kill', '-TERM', number.text.trim()].execute().waitFor() // as an agent ends an aborted build's processes
            }
        }
        int status = process.waitFor()
        script.delete()
        number.delete()
        if (aborted) {
            throw new FlowInterruptedException('Aborted by somebody')
        }
        return status
    }

    void echo(String text) { log.append(text).append('\n') }

    void error(Object message) { throw new AbortException(message.toString()) }

    boolean isUnix() { return unix }

    Object node(String label, Closure body) { called << [node: label]; return body() }

    Object timeout(Map step, Closure body) { called << [timeout: step.time, unit: step.unit]; return body() }

    Object lock(Map step, Closure body) { called << [lock: step.resource]; return body() }

    void checkout(Map step) { called << [checkout: step] }

    String pwd(Map step = [:]) { return step.tmp ? workspace.path + '@tmp' : workspace.path }

    boolean fileExists(String path) { return place(path).exists() }

    String readFile(Map step) { return place(step.file).getText(step.encoding) }

    void writeFile(Map step) {
        File file = place(step.file)
        file.parentFile.mkdirs()
        file.setText(step.text, step.encoding)
    }

    Object dir(String path, Closure body) {
        here << path
        try {
            return body()
        } finally {
            here.remove(here.size() - 1)
        }
    }

    void deleteDir() { assert place('.').canonicalFile.deleteDir() }

    Object withEnv(List values, Closure body) {
        Map more = [:]
        values.each {
            List parts = it.toString().split('=', 2)
            more[parts[0]] = parts[1].replaceAll(/\$(\$|\w+|\{[\w.]+\})/) { all, name ->
                String known = name.replaceAll(/[{}]/, '')
                name == '$' ? '$' : environment.containsKey(known) ? environment[known] : all
            }
        }
        return within(more, body)
    }

    /** A file of the library, by its path below resources/. */
    String libraryResource(String path) { return new File(Steps.resources, path).getText('UTF-8') }

    void unstable(String message) { log.append('WARNING: ').append(message).append('\n'); result('UNSTABLE') }

    void result(String worse) { build.currentResult = build.result = worse }

    Map string(Map binding) { return [kind: 'string'] + binding }

    Map file(Map binding) { return [kind: 'file'] + binding }

    Map certificate(Map binding) { return [kind: 'certificate'] + binding }

    Map usernamePassword(Map binding) { return [kind: 'usernamePassword'] + binding }

    Map usernameColonPassword(Map binding) { return [kind: 'usernameColonPassword'] + binding }

    /** Each kind of binding takes a credential of its own kind: a text, a path, a user and password, a store and password. */
    Object withCredentials(List bindings, Closure body) {
        Map more = [:]
        bindings.each {
            Object kept = credentials[it.credentialsId]
            if (kept == null) {
                throw new CredentialNotFoundException("Could not find credentials entry with ID '${it.credentialsId}'")
            }
            String kind = it.kind == 'usernameColonPassword' ? 'usernamePassword' : it.kind
            if (kept.kind != kind) {
                throw new CredentialNotFoundException("Credentials '${it.credentialsId}' is of type ${kept.kind}")
            }
            if (it.kind in ['string', 'file']) {
                more[it.variable] = kept.text
            } else if (it.kind == 'usernameColonPassword') {
                more[it.variable] = kept.user + ':' + kept.password
            } else if (it.kind == 'usernamePassword') {
                more[it.usernameVariable] = kept.user
                more[it.passwordVariable] = kept.password
            } else {
                more[it.keystoreVariable] = kept.store
                more[it.passwordVariable] = kept.password
            }
        }
        return within(more, body)
    }

    private Object within(Map more, Closure body) {
        Map before = environment
        environment = environment + more
        try {
            return body()
        } finally {
            environment = before
        }
    }

    private File place(String path) {
        File found = new File(path)
        return found.absolute ? found : new File(here.empty ? workspace : new File(here.last()), path)
    }
}

/** Calls steps at once: the variables are plain Groovy. */
class Plain {
    Steps steps

    Object call(String name, Object[] values) { return steps.invokeMethod(name, values) }

    Object evaluate(Script script) { return script.run() }
}

/** Runs what is transformed as Jenkins does: a step suspends the program, its body is a program of its own. */
class Cps {
    Steps steps
    Set<String> looked = new TreeSet()
    Class continuable, invocation
    Object environment

    Cps(ClassLoader loader) {
        continuable = loader.loadClass('com.cloudbees.groovy.cps.Continuable')
        invocation = loader.loadClass('com.cloudbees.groovy.cps.impl.CpsCallableInvocation')
        Object invoker = loader.loadClass('com.cloudbees.groovy.cps.sandbox.SandboxInvoker').newInstance()
        environment = loader.loadClass('com.cloudbees.groovy.cps.Envs').empty(invoker)
    }

    Object call(String name, Object[] values) { return continuable.suspend([name, values as List]) }

    Object evaluate(Script script) { return finish(continuable.newInstance(script, environment)) }

    private Object finish(Object program) {
        Object value = null
        Throwable thrown = null
        while (true) {
            try {
                value = thrown == null ? program.run(value) : program.runByThrow(thrown)
            } catch (java.lang.reflect.InvocationTargetException failed) {
                throw failed.cause
            }
            if (!program.resumable) {
                return value
            }
            new ObjectOutputStream(new ByteArrayOutputStream()).writeObject(program) // Jenkins saves it at every step
            thrown = null
            try {
                value = steps.invokeMethod(value[0], value[1].collect { it instanceof Closure ? body(it) : it } as Object[])
            } catch (Exception failed) {
                thrown = failed
            }
        }
    }

    private Closure body(Closure body) {
        return {
            try {
                return body.call()
            } catch (Error called) {
                if (!invocation.isInstance(called)) {
                    throw called
                }
                return finish(continuable.newInstance(called.asBlock(), environment))
            }
        }
    }
}

class Harness {
    static Object runner

    /** A name that a script does not define: a pipeline step, or a variable of the library that is called. */
    static Object call(Script script, String name, Object values) {
        if (name in Steps.NAMES) {
            return runner.call(name, values as Object[])
        }
        if (script.binding.hasVariable(name)) {
            return script.binding.getVariable(name).invokeMethod('call', values)
        }
        throw new MissingMethodException(name, script.class, values as Object[])
    }
}

Map request = new JsonSlurperClassic().parse(new File(args[0]), "UTF-8")
GroovyClassLoader loader = new GroovyClassLoader(this.class.classLoader)
CompilerConfiguration configuration = new CompilerConfiguration()
String base = request.cps ? 'com.cloudbees.groovy.cps.SerializableScript' : 'Script'
Object runner = request.cps ? new Cps(loader) : new Plain()
if (request.cps) {
    configuration.addCompilationCustomizers(loader.loadClass('com.cloudbees.groovy.cps.SandboxCpsTransformer').newInstance())
    // Every call that Jenkins' sandbox would look up, but for those of the library's own functions and of steps.
    GroovyClassLoader.newInstance(loader).parseClass("""
        class Noter extends org.kohsuke.groovy.sandbox.GroovyInterceptor {
            Set looked
            void note(String kind, Object receiver, String name) {
                if (!(receiver instanceof Script || receiver instanceof Closure)) {
                    looked << (kind + (receiver instanceof Class ? receiver : receiver.getClass()).simpleName + name)
                }
            }
            Object onMethodCall(Invoker invoker, Object receiver, String method, Object... args) {
                note('', receiver, '.' + method)
                return super.onMethodCall(invoker, receiver, method, args)
            }
            Object onStaticCall(Invoker invoker, Class receiver, String method, Object... args) {
                note('static ', receiver, '.' + method)
                return super.onStaticCall(invoker, receiver, method, args)
            }
            Object onNewInstance(Invoker invoker, Class receiver, Object... args) {
                note('new ', receiver, '')
                return super.onNewInstance(invoker, receiver, args)
            }
            Object onGetProperty(Invoker invoker, Object receiver, String property) {
                note('property ', receiver, receiver instanceof Map ? '' : '.' + property)
                return super.onGetProperty(invoker, receiver, property)
            }
            Object onSetProperty(Invoker invoker, Object receiver, String property, Object value) {
                note('property ', receiver, receiver instanceof Map ? '' : '.' + property)
                return super.onSetProperty(invoker, receiver, property, value)
            }
        }""").newInstance(looked: runner.looked).register()
} else {
    loader.parseClass('package com.cloudbees.groovy.cps\n@interface NonCPS {}')
}
loader.parseClass('@interface Library { String value() }')
Harness.runner = runner
Steps.resources = new File(request.resources)
configuration.scriptBaseClass = loader.parseClass("""
    abstract class PipelineScript extends ${base} {
        Object invokeMethod(String name, Object values) {
            return metaClass.respondsTo(this, name) ? super.invokeMethod(name, values) : Harness.call(this, name, values)
        }
    }""").name
Binding binding = new Binding(request.values)
GroovyShell shell = new GroovyShell(loader, binding, configuration)
List variables = []
new File(request.variables).eachFileMatch(~/.*\.groovy/) { file ->
    variables << file.name - '.groovy'
    binding.setVariable(variables.last(), shell.parse(file.getText('UTF-8'), file.name))
}

List answers = request.cases.collect { each ->
    Steps steps = new Steps(
        workspace: new File(request.workspace), environment: request.environment + (each.environment ?: [:]),
        credentials: request.credentials, abortAt: each.abort_at, unix: each.unix != false)
    runner.steps = steps
    steps.build.currentResult = each.result ?: 'SUCCESS'
    binding.setVariable('currentBuild', steps.build)
    Map answer = [name: each.name]
    try {
        Script script = shell.parse(each.text)
        if (each.only_parse) {
            return answer
        }
        answer.returned = runner.evaluate(script)
        answer.kind = answer.returned.getClass().simpleName
    } catch (Throwable thrown) {
        answer.thrown = thrown.class.simpleName
        answer.message = thrown.message
    }
    return answer + [log: steps.log.toString(), ran: steps.ran, result: steps.build.result, called: steps.called]
}
Map said = [version: GroovySystem.version, variables: variables.sort(), answers: answers]
new File(args[1]).setText(JsonOutput.toJson(said + (request.cps ? [looked: runner.looked] : [:])), 'UTF-8')
