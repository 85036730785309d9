import { busybox } from '../harness/paths.ts';

/** As much of a pod's manifest as the tests say. */
export interface StaticPod {
  readonly apiVersion: 'v1';
  readonly kind: 'Pod';
  readonly metadata: {
    readonly name: string;
    readonly namespace: 'default';
    readonly labels: { readonly app: string };
  };
  readonly spec: object;
}

export function staticPod(name: string, spec: object): StaticPod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', labels: { app: name } },
    spec: { terminationGracePeriodSeconds: 2, ...spec },
  };
}

/** A container of the usual image that runs a shell command. */
export function shellContainer(name: string, script: string, more: object = {}): object {
  return { name, image: busybox, imagePullPolicy: 'IfNotPresent', command: ['sh', '-c', script], ...more };
}

const soon = { periodSeconds: 1, failureThreshold: 2 };

/** Every kind of probe that succeeds, each on a container of its own. */
export const probedPod = staticPod('probed', {
  containers: [
    shellContainer('http', 'mkdir /www; echo fine > /www/health; exec httpd -f -p 8080 -h /www', {
      startupProbe: { httpGet: { path: '/health', port: 8080 }, periodSeconds: 1, failureThreshold: 30 },
      livenessProbe: { httpGet: { path: '/health', port: 8080 }, ...soon },
      readinessProbe: { httpGet: { path: '/health', port: 8080 }, ...soon },
      resources: { requests: { cpu: '50m', memory: '16Mi' }, limits: { memory: '64Mi' } },
    }),
    shellContainer('tcp', 'exec httpd -f -p 9090', {
      startupProbe: { tcpSocket: { port: 9090 }, periodSeconds: 1, failureThreshold: 30 },
      livenessProbe: { tcpSocket: { port: 9090 }, ...soon },
      readinessProbe: { tcpSocket: { port: 9090 }, ...soon },
    }),
    shellContainer('exec', 'touch /tmp/alive; exec sleep 100000', {
      startupProbe: { exec: { command: ['test', '-e', '/tmp/alive'] }, periodSeconds: 1, failureThreshold: 30 },
      livenessProbe: { exec: { command: ['cat', '/tmp/alive'] }, ...soon },
      readinessProbe: { exec: { command: ['cat', '/tmp/alive'] }, ...soon },
    }),
  ],
});

export const crashingPod = staticPod('crashing', {
  containers: [shellContainer('main', 'echo started; sleep 1; exit 3')],
});

/** Its liveness probes begin to fail after a while: by exec, by HTTP, by TCP. */
export const failingPod = staticPod('failing', {
  containers: [
    shellContainer('exec', 'touch /tmp/alive; sleep 4; rm /tmp/alive; exec sleep 100000', {
      livenessProbe: { exec: { command: ['cat', '/tmp/alive'] }, initialDelaySeconds: 1, ...soon },
    }),
    shellContainer(
      'http',
      'mkdir /www; echo fine > /www/health; httpd -p 8081 -h /www; sleep 4; rm /www/health; exec sleep 100000',
      {
        livenessProbe: { httpGet: { path: '/health', port: 8081 }, initialDelaySeconds: 1, ...soon },
      },
    ),
    shellContainer('tcp', 'httpd -f -p 9091 & sleep 4; kill $!; exec sleep 100000', {
      livenessProbe: { tcpSocket: { port: 9091 }, initialDelaySeconds: 1, ...soon },
    }),
  ],
});

export const talkingPod = staticPod('talking', {
  containers: [
    shellContainer('main', 'n=0; while :; do n=$((n+1)); echo "line $n"; [ $((n % 20)) != 0 ] || sleep 0.2; done'),
  ],
});

/** Init containers, a sidecar, volumes, variables, hooks. */
export const composedPod = staticPod('composed', {
  initContainers: [
    shellContainer('first', 'echo one > /shared/first', { volumeMounts: [{ name: 'shared', mountPath: '/shared' }] }),
    shellContainer('sidecar', 'echo side > /shared/sidecar; exec sleep 100000', {
      restartPolicy: 'Always',
      volumeMounts: [{ name: 'shared', mountPath: '/shared' }],
      startupProbe: { exec: { command: ['test', '-e', '/shared/sidecar'] }, periodSeconds: 1 },
    }),
  ],
  containers: [
    shellContainer('main', 'cat /shared/first /shared/sidecar; echo "$NAME $MEMORY"; exec sleep 100000', {
      volumeMounts: [{ name: 'shared', mountPath: '/shared', readOnly: true }],
      env: [
        { name: 'NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
        { name: 'MEMORY', valueFrom: { resourceFieldRef: { resource: 'limits.memory' } } },
      ],
      resources: { limits: { memory: '32Mi', cpu: '500m' } },
      lifecycle: { postStart: { exec: { command: ['sh', '-c', 'echo hooked > /tmp/hook'] } } },
      securityContext: { runAsUser: 1000, runAsNonRoot: true, allowPrivilegeEscalation: false },
    }),
  ],
  volumes: [{ name: 'shared', emptyDir: { medium: 'Memory' } }],
});

export const hostNetworkPod = staticPod('onhost', {
  hostNetwork: true,
  containers: [
    shellContainer('main', 'mkdir /tmp/www; echo host > /tmp/www/name; exec httpd -f -p 18080 -h /tmp/www', {
      readinessProbe: { httpGet: { path: '/name', port: 18_080, host: '127.0.0.1' }, periodSeconds: 1 },
    }),
  ],
});

/** Its image comes from a registry, and a port of the node leads to it. */
export function pulledPod(image: string): StaticPod {
  return staticPod('pulled', {
    containers: [
      {
        name: 'main',
        image,
        imagePullPolicy: 'Always',
        command: ['sh', '-c', 'mkdir /www; echo pulled > /www/name; exec httpd -f -p 80 -h /www'],
        ports: [{ containerPort: 80, hostPort: 18_081 }],
      },
    ],
  });
}

/** Takes more memory than it may. */
export const greedyPod = staticPod('greedy', {
  restartPolicy: 'Never',
  containers: [shellContainer('main', 'x=a; while :; do x=$x$x; done', { resources: { limits: { memory: '16Mi' } } })],
});
