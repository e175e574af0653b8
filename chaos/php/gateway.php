<?php
/** A PHP gateway of a run of scripts/chaos, behind the proxy. */
declare(strict_types=1);

require_once __DIR__ . '/../../interop/autoload.php';

$gateway = new GatewayWorker\Gateway('text://' . interop_setting('CHAOS_LISTEN'));
$gateway->name = 'ChaosGateway';
$gateway->count = (int) interop_setting('CHAOS_SHARDS');
// Where workers find it is the proxy.
$gateway->lanIp = interop_setting('CHAOS_LAN_IP');
$gateway->innerTcpWorkerListen = interop_setting('CHAOS_INNER_LISTEN');
$gateway->startPort = (int) interop_setting('CHAOS_START_PORT');
$gateway->registerAddress = interop_setting('INTEROP_REGISTER');
// Without it one process would take most of a few quick connections.
$gateway->reusePort = true;
$gateway->onWorkerStart = static function (): void {
    fwrite(STDOUT, "gateway ready: \n");
};

interop_workerman(interop_setting('CHAOS_PROGRAM'));
Workerman\Worker::runAll();
