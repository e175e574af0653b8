<?php
/** A PHP worker of a run of scripts/chaos, with the class in Events.php. */
declare(strict_types=1);

require_once __DIR__ . '/../../interop/autoload.php';
require_once __DIR__ . '/Events.php';

$worker = new GatewayWorker\BusinessWorker();
$worker->name = interop_setting('CHAOS_NAME');
$worker->count = 1;
$worker->registerAddress = interop_setting('INTEROP_REGISTER');
$worker->eventHandler = ChaosEvents::class;

interop_workerman(interop_setting('CHAOS_PROGRAM'));
Workerman\Worker::runAll();
