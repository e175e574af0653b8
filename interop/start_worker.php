<?php
/** The PHP worker of a run, with one of the classes in Events.php. */
declare(strict_types=1);

require_once __DIR__ . '/autoload.php';
require_once __DIR__ . '/Events.php';

$worker = new GatewayWorker\BusinessWorker();
$worker->name = 'InteropWorker';
$worker->count = (int) interop_setting('INTEROP_WORKERS');
$worker->registerAddress = interop_setting('INTEROP_REGISTER');
$worker->secretKey = interop_setting('INTEROP_KEY');
$worker->eventHandler = match (interop_setting('INTEROP_MODE')) {
    'echo' => EchoEvents::class,
    'beside' => BesideEvents::class,
    default => Events::class,
};

interop_workerman('worker');
Workerman\Worker::runAll();
