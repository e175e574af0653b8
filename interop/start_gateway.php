<?php
/** The PHP gateway of a run. */
declare(strict_types=1);

require_once __DIR__ . '/autoload.php';

$gateway = new GatewayWorker\Gateway(interop_setting('INTEROP_PROTOCOL') . '://' . interop_setting('INTEROP_LISTEN'));
$gateway->name = 'InteropGateway';
$gateway->count = (int) interop_setting('INTEROP_SHARDS');
$gateway->lanIp = '127.0.0.1';
$gateway->startPort = (int) interop_setting('INTEROP_START_PORT');
$gateway->registerAddress = interop_setting('INTEROP_REGISTER');
$gateway->secretKey = interop_setting('INTEROP_KEY');
// Without it one process would take most of a few quick connections.
$gateway->reusePort = true;
if (interop_setting('INTEROP_MODE') === 'pings') {
    $gateway->pingInterval = 1;
    $gateway->pingNotResponseLimit = 1;
    $gateway->pingData = 'ping';
}

interop_workerman('gateway');
Workerman\Worker::runAll();
