<?php
/**
 * Finds the classes of GatewayWorker, Workerman, its coroutine package and GatewayClient in the folder named by
 * INTEROP_PHP, which holds a checkout of each. Nothing of them is part of this project.
 */
declare(strict_types=1);

const INTEROP_FOLDERS = [
    ['GatewayWorker\\', 'GatewayWorker/src/'],
    ['Workerman\\', 'workerman/src/'],
    ['Workerman\\Coroutine\\', 'coroutine/src/'],
    ['Workerman\\', 'coroutine/src/'],
    ['GatewayClient\\', 'GatewayClient/'],
];

spl_autoload_register(static function (string $class): void {
    foreach (INTEROP_FOLDERS as [$prefix, $folder]) {
        if (!str_starts_with($class, $prefix)) {
            continue;
        }
        $name = str_replace('\\', '/', substr($class, strlen($prefix)));
        $file = interop_setting('INTEROP_PHP') . "/$folder$name.php";
        if (is_file($file)) {
            require_once $file;
            return;
        }
    }
});

/** A setting of this run; each is an environment variable. */
function interop_setting(string $name): string
{
    $value = getenv($name);
    if ($value === false) {
        fwrite(STDERR, "$name is not set\n");
        exit(2);
    }
    return $value;
}

/** Keeps Workerman's own files inside the folder of this run. */
function interop_workerman(string $program): void
{
    $folder = interop_setting('INTEROP_RUN');
    Workerman\Worker::$pidFile = "$folder/$program.pid";
    Workerman\Worker::$logFile = "$folder/$program.workerman.log";
    Workerman\Worker::$stdoutFile = "$folder/$program.stdout.log";
    Workerman\Worker::$statusFile = "$folder/$program.status";
}
