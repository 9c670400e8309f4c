// Calls the variables of jenkins/vars in real Groovy, with pipeline steps that do for real what Jenkins' own do.
//
// groovy jenkins.groovy REQUEST ANSWERS: both are JSON files. A request names the variables' folder, a workspace, the
// agent's environment, the credentials, values for the cases, and the cases: pieces of a Jenkinsfile. `sh` runs its text
// by `sh -xe` from a file, `withEnv` expands $NAME in values, as Jenkins does. No CPS transformation and no sandbox here.

import groovy.json.JsonOutput
import groovy.json.JsonSlurper
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

/** What the pipeline steps of one case work on. */
class Agent {
    File workspace
    Map environment
    Map credentials
    String abortAt
    boolean unix = true
    List<String> here = []
    StringBuilder log = new StringBuilder()
    List ran = []

    File file(String path) {
        File found = new File(path)
        return found.absolute ? found : new File(here.empty ? workspace : new File(here.last()), path)
    }

    Object within(Map more, Closure body) {
        Map before = environment
        environment = environment + more
        try {
            return body()
        } finally {
            environment = before
        }
    }

    int run(Map step) {
        File script = File.createTempFile('script', '.sh')
        script.setText(step.script, 'UTF-8')
        ran << [label: step.label, environment: environment.findAll { it.key.startsWith('ANKA_CI_') }]
        File number = File.createTempFile('script', '.pid')
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
}

/** The pipeline steps that the variables may call; any other is a missing method. */
abstract class PipelineScript extends Script {
    static Agent agent

    int sh(Map step) {
        assert step.returnStatus && step.keySet() == ['script', 'returnStatus', 'encoding', 'label'] as Set
        return agent.run(step)
    }

    void echo(String text) { agent.log.append(text).append('\n') }

    void error(String message) { throw new AbortException(message) }

    boolean isUnix() { return agent.unix }

    String pwd(Map step = [:]) { return step.tmp ? agent.workspace.path + '@tmp' : agent.workspace.path }

    boolean fileExists(String path) { return agent.file(path).exists() }

    String readFile(Map step) { return agent.file(step.file).getText(step.encoding) }

    void writeFile(Map step) {
        File file = agent.file(step.file)
        file.parentFile.mkdirs()
        file.setText(step.text, step.encoding)
    }

    Object dir(String path, Closure body) {
        agent.here << path
        try {
            return body()
        } finally {
            agent.here.remove(agent.here.size() - 1)
        }
    }

    void deleteDir() { assert agent.file('.').canonicalFile.deleteDir() }

    Object withEnv(List values, Closure body) {
        Map more = [:]
        values.each {
            List parts = it.toString().split('=', 2)
            more[parts[0]] = parts[1].replaceAll(/\$(\$|\w+|\{[\w.]+\})/) { all, name ->
                String known = name.replaceAll(/[{}]/, '')
                name == '$' ? '$' : agent.environment.containsKey(known) ? agent.environment[known] : all
            }
        }
        return agent.within(more, body)
    }

    Map string(Map binding) { return binding }

    Object withCredentials(List bindings, Closure body) {
        Map more = [:]
        bindings.each {
            if (!agent.credentials.containsKey(it.credentialsId)) {
                throw new CredentialNotFoundException("Could not find credentials entry with ID '${it.credentialsId}'")
            }
            more[it.variable] = agent.credentials[it.credentialsId]
        }
        return agent.within(more, body)
    }
}

Map request = new JsonSlurper().parse(new File(args[0]), 'UTF-8')
GroovyClassLoader loader = new GroovyClassLoader(this.class.classLoader)
loader.parseClass('package com.cloudbees.groovy.cps\n@interface NonCPS {}')
CompilerConfiguration configuration = new CompilerConfiguration(scriptBaseClass: PipelineScript.name)
Binding binding = new Binding(request.values)
GroovyShell shell = new GroovyShell(loader, binding, configuration)
List variables = []
new File(request.variables).eachFileMatch(~/.*\.groovy/) { file ->
    Script script = shell.parse(file.getText('UTF-8'), file.name)
    String name = file.name - '.groovy'
    variables << name
    // `ankaCi.step(…)` is a call on the variable, `ankaPull(…)` a call of it.
    binding.setVariable(name, script.respondsTo('call') ? { Map values = [:] -> script.call(values) } : script)
}

List answers = request.cases.collect { each ->
    Agent agent = new Agent(
        workspace: new File(request.workspace), environment: request.environment + (each.environment ?: [:]),
        credentials: request.credentials, abortAt: each.abort_at, unix: each.unix != false)
    PipelineScript.agent = agent
    Map answer = [name: each.name]
    try {
        answer.returned = shell.evaluate(each.text)
        answer.kind = answer.returned.getClass().simpleName
    } catch (Throwable thrown) {
        answer.thrown = thrown.class.simpleName
        answer.message = thrown.message
    }
    return answer + [log: agent.log.toString(), ran: agent.ran]
}
new File(args[1]).setText(JsonOutput.toJson([version: GroovySystem.version, variables: variables.sort(), answers: answers]), 'UTF-8')
