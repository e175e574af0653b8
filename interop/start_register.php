<?php
/** The PHP register of a run. */
declare(strict_types=1);

require_once __DIR__ . '/autoload.php';

$register = new GatewayWorker\Register('text://' . interop_setting('INTEROP_REGISTER'));
$register->secretKey = interop_setting('INTEROP_KEY');

interop_workerman('register');
Workerman\Worker::runAll();
